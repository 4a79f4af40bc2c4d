#include <lockstep/norm/running_averages.hpp>

#include <lockstep/base/error.hpp>
#include <lockstep/comm/tree_exchange.hpp>
#include <lockstep/norm/moments.hpp>

#include <algorithm>
#include <cmath>

namespace lockstep {

template <class Scalar>
RunningAverages<Scalar>::RunningAverages(Index channels, std::optional<double> momentum, std::string name)
    : channels_(channels),
      momentum_(momentum),
      name_(std::move(name)),
      owned_(2 * static_cast<std::size_t>(channels), Scalar(0)),
      mean_(owned_.data()),
      var_(owned_.data() + channels) {
    std::ranges::fill(var(), Scalar(1));
}

template <class Scalar>
void RunningAverages<Scalar>::set_batches(std::int64_t batches, std::optional<std::int64_t> with_variance) {
    const std::int64_t some = with_variance.value_or(batches);
    if (batches < 0 || some < 0 || some > batches)
        throw UsageError("batch norm '" + name_ + "': cannot have tracked " + std::to_string(batches) +
                         " batches, " + std::to_string(some) + " of them with a variance");
    batches_ = batches;
    batches_with_variance_ = some;
}

template <class Scalar>
void RunningAverages<Scalar>::update(const double* moments) {
    const MomentsView<const double> batch{moments, channels_};
    if (batch.count() == 0) return;
    const auto move_towards = [this](Scalar* averages, const double* values, double factor,
                                     std::int64_t batches) {
        const double weight = momentum_.value_or(1.0 / static_cast<double>(batches));
        for (Index c = 0; c < channels_; ++c)
            averages[c] = static_cast<Scalar>((1 - weight) * static_cast<double>(averages[c]) +
                                              weight * (values[c] * factor));
    };
    move_towards(mean_, batch.mean(), 1, ++batches_);
    if (batch.count() > 1) move_towards(var_, batch.m2(), 1 / (batch.count() - 1), ++batches_with_variance_);
}

template <class Scalar>
void RunningAverages<Scalar>::set(const double* moments) {
    const MomentsView<const double> population{moments, channels_};
    for (Index c = 0; c < channels_; ++c) {
        mean_[c] = static_cast<Scalar>(population.mean()[c]);
        if (population.count() > 1)
            var_[c] = static_cast<Scalar>(population.m2()[c] / (population.count() - 1));
    }
}

template <class Scalar>
void RunningAverages<Scalar>::pool(const Communicator& among, double weight) {
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
        mine.mean()[c] = static_cast<double>(mean_[c]);
        mine.m2()[c] = static_cast<double>(var_[c]) * weight;
    }
    exchange.push(0);
    ExchangeLabel label(name_, ExchangeKind::running_averages, channels_, sizeof(Scalar));
    label.call = among.next_call();
    exchange.start(label);
    const MomentsView<const double> pooled{exchange.wait(), channels_};
    if (!(pooled.count() > 0)) return;
    for (Index c = 0; c < channels_; ++c) {
        mean_[c] = static_cast<Scalar>(pooled.mean()[c]);
        var_[c] = static_cast<Scalar>(pooled.m2()[c] / pooled.count());
    }
}

template <class Scalar>
typename RunningAverages<Scalar>::Snapshot RunningAverages<Scalar>::snapshot() const {
    return {{mean().begin(), mean().end()}, {var().begin(), var().end()}, batches_, batches_with_variance_};
}

template <class Scalar>
void RunningAverages<Scalar>::restore(const Snapshot& snapshot) {
    if (snapshot.mean.size() != mean().size() || snapshot.var.size() != var().size())
        throw UsageError("batch norm '" + name_ + "': the snapshot is of averages of " +
                         std::to_string(snapshot.mean.size()) + " channels, these have " +
                         std::to_string(channels_));
    std::ranges::copy(snapshot.mean, mean_);
    std::ranges::copy(snapshot.var, var_);
    batches_ = snapshot.batches;
    batches_with_variance_ = snapshot.batches_with_variance;
}

template <class Scalar>
void RunningAverages<Scalar>::bind(Scalar* mean_place, Scalar* var_place) {
    std::ranges::copy(mean(), mean_place);
    std::ranges::copy(var(), var_place);
    mean_ = mean_place;
    var_ = var_place;
    owned_ = {};
}

template class RunningAverages<float>;
template class RunningAverages<double>;

}  // namespace lockstep
