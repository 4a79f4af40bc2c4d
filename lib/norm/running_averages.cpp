#include "layer_checks.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/comm/agreement.hpp>
#include <lockstep/comm/failure_guard.hpp>
#include <lockstep/norm/moments.hpp>
#include <lockstep/norm/sync_batch_norm.hpp>

#include <algorithm>
#include <cmath>

// What concerns γ, β and the running averages; the passes are in sync_batch_norm.cpp.
namespace lockstep {

template <class Scalar>
void SyncBatchNorm<Scalar>::require_tracking(const char* what) const {
    if (!options_.track_running_averages)
        throw UsageError("batch norm '" + name_ + "' " + what +
                         ": this layer keeps no running averages (track_running_averages is off)");
}

template <class Scalar>
void SyncBatchNorm<Scalar>::infer(const Scalar* x, Scalar* z, const BatchShape& shape) const {
    require_tracking("infer");
    require_shape(shape);
    // The layer's own buffers would do, but not for several threads at a time.
    AlignedVector<Scalar> scale(size()), offset(size());
    for (std::size_t c = 0; c < size(); ++c) {
        scale[c] =
            static_cast<Scalar>(static_cast<double>(storage_.gamma[c]) /
                                std::sqrt(static_cast<double>(storage_.running_var[c]) + options_.epsilon));
        offset[c] = storage_.beta[c];
    }
    normalize(x, z, channels_, shape, {storage_.running_mean, scale.data(), offset.data()},
              options_.activation);
}

template <class Scalar>
void SyncBatchNorm<Scalar>::zero_gradients() {
    std::ranges::fill(gradients_, Scalar(0));
}

template <class Scalar>
void SyncBatchNorm<Scalar>::bind(const BatchNormStorage<Scalar>& storage) {
    std::ranges::copy(gamma(), storage.gamma);
    std::ranges::copy(beta(), storage.beta);
    std::ranges::copy(running_mean(), storage.running_mean);
    std::ranges::copy(running_var(), storage.running_var);
    storage_ = storage;
    owned_ = {};
}

template <class Scalar>
const double* SyncBatchNorm<Scalar>::replica_moments(int i) const {
    if (options_.running_update != RunningUpdate::deferred)
        throw UsageError("batch norm: replica moments are kept only where the running update is deferred");
    return replica_moments_.data() + i * moments_size(channels_);
}

template <class Scalar>
void SyncBatchNorm<Scalar>::update_running_averages(const double* moments) {
    const MomentsView<const double> batch{moments, channels_};
    if (batch.count() == 0) return;
    const auto move_towards = [this](Scalar* averages, const double* values, double factor,
                                     std::int64_t batches) {
        const double weight = options_.momentum.value_or(1.0 / static_cast<double>(batches));
        for (Index c = 0; c < channels_; ++c)
            averages[c] = static_cast<Scalar>((1 - weight) * static_cast<double>(averages[c]) +
                                              weight * (values[c] * factor));
    };
    move_towards(storage_.running_mean, batch.mean(), 1, ++batches_tracked_);
    if (batch.count() > 1)
        move_towards(storage_.running_var, batch.m2(), 1 / (batch.count() - 1), ++batches_with_variance_);
}

template <class Scalar>
void SyncBatchNorm<Scalar>::set_batches_tracked(std::int64_t batches,
                                                std::optional<std::int64_t> with_variance) {
    const std::int64_t some = with_variance.value_or(batches);
    if (batches < 0 || some < 0 || some > batches)
        throw UsageError("batch norm '" + name_ + "': cannot have tracked " + std::to_string(batches) +
                         " batches, " + std::to_string(some) + " of them with a variance");
    batches_tracked_ = batches;
    batches_with_variance_ = some;
}

template <class Scalar>
void SyncBatchNorm<Scalar>::set_running_averages(const double* moments) {
    const MomentsView<const double> population{moments, channels_};
    for (Index c = 0; c < channels_; ++c) {
        storage_.running_mean[c] = static_cast<Scalar>(population.mean()[c]);
        if (population.count() > 1)
            storage_.running_var[c] = static_cast<Scalar>(population.m2()[c] / (population.count() - 1));
    }
}

template <class Scalar>
void SyncBatchNorm<Scalar>::infer(std::span<const Scalar> x, std::span<Scalar> z,
                                  const BatchShape& shape) const {
    require_size(x.size(), shape, "x");
    require_size(z.size(), shape, "z");
    infer(x.data(), z.data(), shape);
}

template <class Scalar>
std::vector<NamedValues<Scalar>> SyncBatchNorm<Scalar>::state() {
    std::vector<NamedValues<Scalar>> values;
    if (options_.affine) {
        values.push_back({"weight", gamma()});
        values.push_back({"bias", beta()});
    }
    if (options_.track_running_averages) {
        values.push_back({"running_mean", running_mean()});
        values.push_back({"running_var", running_var()});
    }
    return values;
}

template <class Scalar>
void SyncBatchNorm<Scalar>::set_frozen(bool frozen) {
    require_idle();
    const bool possible = !frozen || options_.track_running_averages;
    check_agreement(communicator_, "freezing batch norm '" + name_ + "'", {{"frozen", frozen ? "yes" : "no"}},
                    possible ? ""
                             : "batch norm '" + name_ +
                                   "': a frozen layer needs running averages (track_running_averages is "
                                   "off)");
    options_.frozen = frozen;
}

template <class Scalar>
void SyncBatchNorm<Scalar>::set_epsilon(double epsilon) {
    require_idle();
    BatchNormOptions changed = options_;
    changed.epsilon = epsilon;
    check_agreement(communicator_, "the epsilon of batch norm '" + name_ + "'",
                    {{"epsilon", shortest_text(epsilon)}}, fault_of([&] { check(changed, channels_); }));
    options_ = changed;
}

template <class Scalar>
void SyncBatchNorm<Scalar>::set_momentum(std::optional<double> momentum) {
    require_idle();
    BatchNormOptions changed = options_;
    changed.momentum = momentum;
    check_agreement(communicator_, "the momentum of batch norm '" + name_ + "'",
                    {{"momentum", momentum ? shortest_text(*momentum) : "cumulative"}},
                    fault_of([&] { check(changed, channels_); }));
    options_ = changed;
}

template <class Scalar>
void SyncBatchNorm<Scalar>::synchronize_running_averages(const Communicator& among, double weight) {
    require_tracking("synchronize_running_averages");
    if (!(weight >= 0) || !std::isfinite(weight))
        throw UsageError("batch norm '" + name_ +
                         "': the weight of running averages must be a number of 0 or more");
    const ReplicaMap map(among.size(), among.size());
    TreeExchange exchange(
        among, map, map.all(), static_cast<std::size_t>(moments_size(channels_)),
        [this](double* left, const double* right) { merge_moments(left, right, channels_); });
    const MomentsView<double> mine{exchange.leaf(0), channels_};
    mine.count() = weight;
    for (Index c = 0; c < channels_; ++c) {
        mine.mean()[c] = static_cast<double>(storage_.running_mean[c]);
        mine.m2()[c] = static_cast<double>(storage_.running_var[c]) * weight;
    }
    exchange.push(0);
    ExchangeLabel label(name_, ExchangeKind::running_averages, channels_, sizeof(Scalar));
    label.call = among.next_call();
    exchange.start(label);
    const MomentsView<const double> pooled{exchange.wait(), channels_};
    if (!(pooled.count() > 0)) return;
    for (Index c = 0; c < channels_; ++c) {
        storage_.running_mean[c] = static_cast<Scalar>(pooled.mean()[c]);
        storage_.running_var[c] = static_cast<Scalar>(pooled.m2()[c] / pooled.count());
    }
}

#define LOCKSTEP_INSTANTIATE(Scalar)                                                                     \
    template void SyncBatchNorm<Scalar>::infer(const Scalar*, Scalar*, const BatchShape&) const;         \
    template void SyncBatchNorm<Scalar>::infer(std::span<const Scalar>, std::span<Scalar>,               \
                                               const BatchShape&) const;                                 \
    template void SyncBatchNorm<Scalar>::zero_gradients();                                               \
    template void SyncBatchNorm<Scalar>::bind(const BatchNormStorage<Scalar>&);                          \
    template const double* SyncBatchNorm<Scalar>::replica_moments(int) const;                            \
    template void SyncBatchNorm<Scalar>::update_running_averages(const double*);                         \
    template void SyncBatchNorm<Scalar>::set_batches_tracked(std::int64_t, std::optional<std::int64_t>); \
    template void SyncBatchNorm<Scalar>::set_running_averages(const double*);                            \
    template std::vector<NamedValues<Scalar>> SyncBatchNorm<Scalar>::state();                            \
    template void SyncBatchNorm<Scalar>::set_frozen(bool);                                               \
    template void SyncBatchNorm<Scalar>::set_epsilon(double);                                            \
    template void SyncBatchNorm<Scalar>::set_momentum(std::optional<double>);                            \
    template void SyncBatchNorm<Scalar>::synchronize_running_averages(const Communicator&, double);      \
    template void SyncBatchNorm<Scalar>::require_tracking(const char*) const

LOCKSTEP_INSTANTIATE(float);
LOCKSTEP_INSTANTIATE(double);
#undef LOCKSTEP_INSTANTIATE

}  // namespace lockstep
