#include <lockstep/base/error.hpp>
#include <lockstep/comm/tree_exchange.hpp>
#include <lockstep/norm/moments.hpp>
#include <lockstep/norm/precise_statistics.hpp>

#include <algorithm>
#include <string>

namespace lockstep {

template <class Scalar>
PreciseStatistics<Scalar>::PreciseStatistics(SyncBatchNorm<Scalar>& layer)
    : layer_(&layer), population_(static_cast<std::size_t>(moments_size(layer.channels())), 0.0) {
    if (!layer.options().track_running_averages)
        throw UsageError("precise statistics: layer '" + layer.name() + "' keeps no running averages");
    if (layer.hosted_groups() != 1)
        throw UsageError("precise statistics: layer '" + layer.name() + "' has " +
                         std::to_string(layer.hosted_groups()) +
                         " statistics groups on this rank, which one set of moments cannot describe");
}

template <class Scalar>
void PreciseStatistics<Scalar>::add() {
    const double* const moments = layer_->group_moments();
    if (moments == nullptr)
        throw UsageError("precise statistics: layer '" + layer_->name() +
                         "' has had no forward that took moments (or is frozen)");
    if (moments[0] > 0) ++batches_;
    merge_moments(population_.data(), moments, layer_->channels());
}

template <class Scalar>
void PreciseStatistics<Scalar>::finish(std::int64_t least_batches) {
    finish_with(population_.data(), batches_, least_batches);
}

template <class Scalar>
void PreciseStatistics<Scalar>::finish(const Communicator& among, std::int64_t least_batches) {
    // The number of batches travels behind the moments.
    const std::size_t moments = population_.size();
    const ReplicaMap map(among.size(), among.size());
    TreeExchange exchange(among, map, map.all(), moments + 1, [&](double* left, const double* right) {
        merge_moments(left, right, layer_->channels());
        left[moments] += right[moments];
    });
    std::copy(population_.begin(), population_.end(), exchange.leaf(0));
    exchange.leaf(0)[moments] = static_cast<double>(batches_);
    exchange.push(0);
    ExchangeLabel label(layer_->name(), ExchangeKind::pooled_moments, layer_->channels(), sizeof(Scalar));
    label.call = among.next_call();
    exchange.start(label);
    const double* const pooled = exchange.wait();
    finish_with(pooled, static_cast<std::int64_t>(pooled[moments]), least_batches);
}

template <class Scalar>
void PreciseStatistics<Scalar>::finish_with(const double* moments, std::int64_t batches,
                                            std::int64_t least_batches) {
    if (batches < std::max<std::int64_t>(1, least_batches))
        throw UsageError("precise statistics: layer '" + layer_->name() + "' saw " + std::to_string(batches) +
                         " batches with values where at least " +
                         std::to_string(std::max<std::int64_t>(1, least_batches)) + " are asked for");
    layer_->set_running_averages(moments);
}

template class PreciseStatistics<float>;
template class PreciseStatistics<double>;

}  // namespace lockstep
