/// Exact population statistics for evaluation, over a caller's loop of forward passes, in place of running
/// averages.
///
/// Running averages forget: they weigh the newest batches most, and lag behind the weights. Before an
/// evaluation that counts, pass a good part of the training data through the network again and take the
/// moments of all of it (Wu, Johnson: "Rethinking 'Batch' in BatchNorm", 2021, arXiv 2105.07576):
///
///     PreciseStatistics<float> precise(layer);
///     for (const Batch& batch : batches) {
///         layer.forward(batch.x, z, batch.shape, saved);
///         precise.add();
///     }
///     precise.finish(100);  // an error if there were fewer than 100 batches with values
///
/// The moments of the batches are merged exactly (see moments.hpp): how the data is cut into batches and
/// ranks makes no difference but for rounding.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/comm/communicator.hpp>
#include <lockstep/norm/moments.hpp>
#include <lockstep/norm/sync_batch_norm.hpp>

#include <cstdint>

namespace lockstep {

/// Instantiated for float and double.
template <class Scalar>
class LOCKSTEP_EXPORT PreciseStatistics {
  public:
    /// For a layer that outlives this object and has one statistics group on this rank.
    explicit PreciseStatistics(SyncBatchNorm<Scalar>& layer);

    /// Adds the batch of the layer's last forward; a batch without any value does not count. Throws
    /// UsageError where there was none, where the layer is frozen, or where several statistics groups live on
    /// this rank.
    void add();
    /// Batches that counted.
    std::int64_t batches() const { return population_.batches(); }

    /// Makes what was added the layer's running averages (the variance unbiased). Throws UsageError, and
    /// changes nothing, with fewer than `least_batches`. Communicates nothing: where the layer's statistics
    /// are global all ranks end with the same bits.
    void finish(std::int64_t least_batches = 1);
    /// The same for a layer with statistics of its own on each rank of `among`: pools what all of them have
    /// added, in one exchange. `least_batches` counts those of all ranks; a rank may have none.
    void finish(const Communicator& among, std::int64_t least_batches = 1);

  private:
    void finish_with(const double* moments, std::int64_t batches, std::int64_t least_batches);

    SyncBatchNorm<Scalar>* layer_;
    PopulationMoments population_;
};

extern template class PreciseStatistics<float>;
extern template class PreciseStatistics<double>;

}  // namespace lockstep
