#include <lockstep/norm/precise_statistics.hpp>

#include <lockstep/base/error.hpp>
#include <lockstep/comm/tree_exchange.hpp>
#include <lockstep/norm/moments.hpp>
#include <lockstep/norm/statistics_groups.hpp>

#include <algorithm>
#include <string>

namespace lockstep {

template <class Scalar>
PreciseStatistics<Scalar>::PreciseStatistics(SyncBatchNorm<Scalar>& layer)
    : layer_(&layer), population_(layer.channels()) {
    if (!layer.options().track_running_averages)
        throw UsageError("precise statistics: layer '" + layer.name() + "' keeps no running averages");
    if (layer.groups().size() != 1)
        throw UsageError("precise statistics: layer '" + layer.name() + "' has " +
                         std::to_string(layer.groups().size()) +
                         " statistics groups on this rank, which one set of moments cannot describe");
}

template <class Scalar>
void PreciseStatistics<Scalar>::add() {
    const double* const moments = layer_->group_moments();
    if (moments == nullptr)
        throw UsageError("precise statistics: layer '" + layer_->name() +
                         "' has had no forward that took moments (or is frozen)");
    population_.add(moments);
}

template <class Scalar>
void PreciseStatistics<Scalar>::finish(std::int64_t least_batches) {
    finish_with(population_.moments().data(), batches(), least_batches);
}

template <class Scalar>
void PreciseStatistics<Scalar>::finish(const Communicator& among, std::int64_t least_batches) {
    // The number of batches travels behind the moments.
    const AlignedVector<double>& own = population_.moments();
    const std::size_t moments = own.size();
    const ReplicaMap map(among.size(), among.size());
    TreeExchange exchange(among, map, map.all(), moments + 1, [&](double* left, const double* right) {
        merge_moments(left, right, layer_->channels());
        left[moments] += right[moments];
    });
    std::ranges::copy(own, exchange.leaf(0));
    exchange.leaf(0)[moments] = static_cast<double>(batches());
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
    layer_->averages().set(moments);
}

template class PreciseStatistics<float>;
template class PreciseStatistics<double>;

}  // namespace lockstep
