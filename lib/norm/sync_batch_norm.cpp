#include <lockstep/base/error.hpp>
#include <lockstep/norm/moments.hpp>
#include <lockstep/norm/sync_batch_norm.hpp>

#include <algorithm>
#include <cmath>

namespace lockstep {
namespace {

void check(const BatchNormOptions& options, Index channels) {
    const std::string layer = options.name.empty() ? "batch norm" : "batch norm '" + options.name + "'";
    if (channels < 1) throw UsageError(layer + ": needs at least one channel");
    if (!(options.epsilon > 0) || !std::isfinite(options.epsilon))
        throw UsageError(layer + ": epsilon must be a positive number (a constant channel would give 0/0)");
    if (options.momentum && !(*options.momentum >= 0 && *options.momentum <= 1))
        throw UsageError(layer + ": momentum must lie between 0 and 1, or be cumulative");
}

}  // namespace

void BatchMoments::resize(std::size_t groups, std::size_t channels) {
    channels_ = channels;
    counts_.resize(groups);
    means_.resize(groups * channels);
    variances_.resize(groups * channels);
}

template <class Scalar>
SyncBatchNorm<Scalar>::SyncBatchNorm(Index channels, const Communicator& communicator,
                                     BatchNormOptions options, ReplicaPlacement placement)
    : channels_(channels), options_(std::move(options)) {
    check(options_, channels_);
    const ReplicaMap map(placement.replicas.value_or(communicator.size()), communicator.size());
    hosted_ = map.block(communicator.rank());
    const int group_size = placement.group.value_or(map.replicas());
    global_ = group_size == map.replicas();
    const auto moments = static_cast<std::size_t>(moments_size(channels_));
    const auto merge = [channels](double* left, const double* right) {
        merge_moments(left, right, channels);
    };
    for (const ReplicaRange range : map.groups(group_size)) {
        const ReplicaRange here = intersection(range, hosted_);
        if (here.empty()) continue;
        groups_.push_back(
            {{here.begin - hosted_.begin, here.end - hosted_.begin},
             std::make_unique<TreeExchange>(communicator, map, range, moments, merge),
             std::make_unique<TreeExchange>(communicator, map, range, 2 * size(), sum_merge(2 * size()))});
    }
    const std::string name = options_.name.empty() ? "layer" : options_.name;
    forward_label_ = ExchangeLabel(name, ExchangeKind::forward_moments, channels_, sizeof(Scalar));
    backward_label_ = ExchangeLabel(name, ExchangeKind::backward_sums, channels_, sizeof(Scalar));

    owned_.assign(4 * size(), Scalar(0));
    storage_ = {owned_.data(), owned_.data() + size(), owned_.data() + 2 * size(),
                owned_.data() + 3 * size()};
    std::ranges::fill(gamma(), Scalar(1));
    std::ranges::fill(running_var(), Scalar(1));
    gradients_.assign(2 * size(), Scalar(0));
    single_gradient_.assign(2 * size(), Scalar(0));
    if (options_.running_update == RunningUpdate::deferred)
        replica_moments_.resize(moments * static_cast<std::size_t>(hosted_.size()));
    for (auto* coefficients : {&shift_, &scale_, &input_scale_, &offset_}) coefficients->resize(size());
}

template <class Scalar>
void SyncBatchNorm<Scalar>::forward(const Scalar* x, Scalar* z, const BatchShape& shape,
                                    BatchMoments& saved) {
    const ForwardSlice<Scalar> slice{x, z, shape};
    forward(std::span(&slice, 1), saved);
}

template <class Scalar>
void SyncBatchNorm<Scalar>::forward(std::span<const ForwardSlice<Scalar>> slices, BatchMoments& saved) {
    if (static_cast<int>(slices.size()) != hosted_.size())
        throw UsageError("batch norm forward: one slice for each of the rank's " +
                         std::to_string(hosted_.size()) + " replicas is needed");
    ++forward_label_.call;
    saved.resize(groups_.size(), size());
    for (const Group& group : groups_) {
        for (int i = group.hosted.begin; i < group.hosted.end; ++i) {
            const ForwardSlice<Scalar>& slice = slices[static_cast<std::size_t>(i)];
            double* const leaf = group.moments->leaf(i - group.hosted.begin);
            batch_moments(slice.x, channels_, slice.shape, leaf);
            if (options_.running_update == RunningUpdate::deferred)
                std::copy_n(leaf, moments_size(channels_),
                            replica_moments_.data() + i * moments_size(channels_));
            group.moments->push(i - group.hosted.begin);
        }
        group.moments->start(forward_label_);
    }
    for (int g = 0; g < static_cast<int>(groups_.size()); ++g) {
        const Group& group = groups_[static_cast<std::size_t>(g)];
        const double* const moments = group.moments->wait();
        if (g == 0) group_moments_ = moments;
        const MomentsView<const double> pooled{moments, channels_};
        const auto begin = static_cast<std::size_t>(g) * size();
        saved.counts_[static_cast<std::size_t>(g)] = pooled.count();
        std::copy_n(pooled.mean(), channels_, saved.means_.data() + begin);
        for (Index c = 0; c < channels_; ++c)
            saved.variances_[begin + static_cast<std::size_t>(c)] =
                pooled.count() > 0 ? pooled.m2()[c] / pooled.count() : 0.0;
        compute_normalization(saved, g);
        for (int i = group.hosted.begin; i < group.hosted.end; ++i) {
            const ForwardSlice<Scalar>& slice = slices[static_cast<std::size_t>(i)];
            normalize(slice.x, slice.z, channels_, slice.shape,
                      {shift_.data(), scale_.data(), offset_.data()});
        }
        if (options_.running_update == RunningUpdate::automatic && options_.track_running_averages && g == 0)
            update_running_averages(moments);
    }
}

template <class Scalar>
void SyncBatchNorm<Scalar>::compute_shift(const BatchMoments& saved, int group) {
    for (std::size_t c = 0; c < size(); ++c) shift_[c] = static_cast<Scalar>(saved.mean(group)[c]);
}

template <class Scalar>
void SyncBatchNorm<Scalar>::compute_normalization(const BatchMoments& saved, int group) {
    compute_shift(saved, group);
    for (std::size_t c = 0; c < size(); ++c) {
        const double mean = saved.mean(group)[c];
        const double scale =
            static_cast<double>(storage_.gamma[c]) / std::sqrt(saved.variance(group)[c] + options_.epsilon);
        scale_[c] = static_cast<Scalar>(scale);
        offset_[c] = static_cast<Scalar>(static_cast<double>(storage_.beta[c]) -
                                         (mean - static_cast<double>(shift_[c])) * scale);
    }
}

template <class Scalar>
void SyncBatchNorm<Scalar>::backward(const Scalar* x, const Scalar* dz, Scalar* dx, const BatchShape& shape,
                                     const BatchMoments& saved) {
    Scalar* const own = single_gradient_.data();
    const BackwardSlice<Scalar> slice{x, dz, dx, shape, own, own + channels_};
    backward(std::span(&slice, 1), saved);
    for (std::size_t i = 0; i < gradients_.size(); ++i) gradients_[i] += own[i];
}

template <class Scalar>
void SyncBatchNorm<Scalar>::backward(std::span<const BackwardSlice<Scalar>> slices, const BatchMoments& saved,
                                     const std::function<void(int)>& written) {
    if (static_cast<int>(slices.size()) != hosted_.size())
        throw UsageError("batch norm backward: one slice for each of the rank's " +
                         std::to_string(hosted_.size()) + " replicas is needed");
    if (saved.counts_.size() != groups_.size() || saved.channels_ != size())
        throw UsageError("batch norm backward: the saved moments are not from a forward of this layer");
    const bool wants_dx = std::ranges::any_of(slices, [](const auto& slice) { return slice.dx != nullptr; });
    if (wants_dx) ++backward_label_.call;
    for (int g = 0; g < static_cast<int>(groups_.size()); ++g) {
        const Group& group = groups_[static_cast<std::size_t>(g)];
        compute_shift(saved, g);
        for (int i = group.hosted.begin; i < group.hosted.end; ++i) {
            const BackwardSlice<Scalar>& slice = slices[static_cast<std::size_t>(i)];
            double* const leaf = group.sums->leaf(i - group.hosted.begin);
            gradient_sums(slice.x, slice.dz, channels_, slice.shape, shift_.data(), leaf);
            write_parameter_gradients(slice, saved, g, leaf);
            if (written) written(i);
            group.sums->push(i - group.hosted.begin);
        }
        if (wants_dx) group.sums->start(backward_label_);
    }
    if (!wants_dx) return;
    for (int g = 0; g < static_cast<int>(groups_.size()); ++g) {
        const Group& group = groups_[static_cast<std::size_t>(g)];
        compute_input_gradient(saved, g, group.sums->wait());
        for (int i = group.hosted.begin; i < group.hosted.end; ++i) {
            const BackwardSlice<Scalar>& slice = slices[static_cast<std::size_t>(i)];
            if (slice.dx == nullptr) continue;
            input_gradient(slice.x, slice.dz, slice.dx, channels_, slice.shape,
                           {shift_.data(), scale_.data(), input_scale_.data(), offset_.data()});
        }
    }
}

template <class Scalar>
void SyncBatchNorm<Scalar>::write_parameter_gradients(const BackwardSlice<Scalar>& slice,
                                                      const BatchMoments& saved, int group,
                                                      const double* sums) const {
    if (slice.gamma_gradient == nullptr) return;
    for (std::size_t c = 0; c < size(); ++c) {
        const double residue = saved.mean(group)[c] - static_cast<double>(shift_[c]);
        const double inverse_deviation = 1 / std::sqrt(saved.variance(group)[c] + options_.epsilon);
        slice.gamma_gradient[c] =
            static_cast<Scalar>((sums[size() + c] - residue * sums[c]) * inverse_deviation);
        slice.beta_gradient[c] = static_cast<Scalar>(sums[c]);
    }
}

template <class Scalar>
void SyncBatchNorm<Scalar>::compute_input_gradient(const BatchMoments& saved, int group, const double* sums) {
    compute_shift(saved, group);
    const double count = std::max(1.0, saved.count(group));
    for (std::size_t c = 0; c < size(); ++c) {
        const double residue = saved.mean(group)[c] - static_cast<double>(shift_[c]);
        const double inverse_deviation = 1 / std::sqrt(saved.variance(group)[c] + options_.epsilon);
        const double beta_gradient = sums[c];
        const double gamma_gradient = (sums[size() + c] - residue * sums[c]) * inverse_deviation;
        const double gradient_scale = static_cast<double>(storage_.gamma[c]) * inverse_deviation;
        const double input_scale = -gradient_scale * inverse_deviation * gamma_gradient / count;
        scale_[c] = static_cast<Scalar>(gradient_scale);
        input_scale_[c] = static_cast<Scalar>(input_scale);
        offset_[c] = static_cast<Scalar>(-gradient_scale * beta_gradient / count - input_scale * residue);
    }
}

template <class Scalar>
void SyncBatchNorm<Scalar>::infer(const Scalar* x, Scalar* z, const BatchShape& shape) const {
    if (!options_.track_running_averages)
        throw UsageError(
            "batch norm infer: this layer keeps no running averages (track_running_averages is off)");
    AlignedVector<Scalar> scale(size()), offset(size());
    for (std::size_t c = 0; c < size(); ++c) {
        scale[c] =
            static_cast<Scalar>(static_cast<double>(storage_.gamma[c]) /
                                std::sqrt(static_cast<double>(storage_.running_var[c]) + options_.epsilon));
        offset[c] = storage_.beta[c];
    }
    normalize(x, z, channels_, shape, {storage_.running_mean, scale.data(), offset.data()});
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
    ++batches_tracked_;
    const double weight = options_.momentum.value_or(1.0 / static_cast<double>(batches_tracked_));
    const auto move_towards = [weight](Scalar& average, double value) {
        average = static_cast<Scalar>((1 - weight) * static_cast<double>(average) + weight * value);
    };
    for (Index c = 0; c < channels_; ++c) {
        move_towards(storage_.running_mean[c], batch.mean()[c]);
        if (batch.count() > 1) move_towards(storage_.running_var[c], batch.m2()[c] / (batch.count() - 1));
    }
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

template class SyncBatchNorm<float>;
template class SyncBatchNorm<double>;

}  // namespace lockstep
