/// How noisy the statistics of small batches are: the deviation of each replica's mean and variance from
/// those of the global batch, per batch norm layer.
///
///     mean noise     = √( average over replicas r and channels c of (μ_rc − μ_c)² / (σ²_c + ε) )
///     variance noise = √( average over replicas r and channels c of (σ²_rc − σ²_c)² / (σ²_c + ε)² )
///
/// Both are relative to the global batch, so that layers compare. n independent samples give a mean noise of
/// about 1/√n.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/comm/communicator.hpp>
#include <lockstep/comm/replica_map.hpp>
#include <lockstep/comm/tree_exchange.hpp>
#include <lockstep/nn/batch_norm.hpp>

#include <memory>
#include <span>
#include <vector>

namespace lockstep {

struct LayerNoise {
    double mean = 0;
    double variance = 0;
};

/// Looks at the batch norms of a network and changes nothing in them; they outlive it. The result has the
/// same bits on any number of ranks. Instantiated for float and double.
template <class Scalar>
class LOCKSTEP_EXPORT StatisticsNoise {
  public:
    StatisticsNoise(const Communicator& communicator, const ReplicaMap& map,
                    std::span<BatchNorm<Scalar>* const> layers);

    /// The noise in the last training pass, layer by layer. Collective; two exchanges. Replicas without
    /// values do not count. Throws CommunicationError.
    std::vector<LayerNoise> measure();

  private:
    const double* pool_moments();
    void add_deviations(int replica, const double* pooled, double* sums) const;

    std::span<BatchNorm<Scalar>* const> layers_;
    int hosted_;
    std::vector<std::size_t> offsets_;  // of each layer's moments in the pooled message
    std::unique_ptr<TreeExchange> moments_, deviations_;
    ExchangeLabel moments_label_, deviations_label_;
};

extern template class StatisticsNoise<float>;
extern template class StatisticsNoise<double>;

}  // namespace lockstep
