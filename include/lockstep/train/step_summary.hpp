/// The one small message of a training step: loss, what the score is made of and, where batch norm is not
/// synchronized, the moments of all its layers, pooled over all replicas along the fixed tree.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/comm/communicator.hpp>
#include <lockstep/comm/replica_map.hpp>
#include <lockstep/comm/tree_exchange.hpp>
#include <lockstep/nn/batch_norm.hpp>
#include <lockstep/train/score.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace lockstep {

/// Sums over the samples of a batch.
struct StepSums {
    double loss = 0;
    ScoreSums score;

    StepSums& operator+=(const StepSums& other) {
        loss += other.loss;
        score += other.score;
        return *this;
    }
};

/// The batch norms outlive it. Instantiated for float and double.
template <class Scalar>
class LOCKSTEP_EXPORT StepSummary {
  public:
    StepSummary(const Communicator& communicator, const ReplicaMap& map,
                std::span<BatchNorm<Scalar>* const> layers);

    /// Sends what the hosted replicas have, after the forward pass of that step; `sums` has one entry for each. With
    /// them travels what this rank requests, see request().
    void start(std::uint64_t step, std::span<const StepSums> sums, int request = 0);
    /// Receives the rest; returns the sums over the global batch. Throws CommunicationError, also where other ranks are
    /// at another step.
    StepSums finish();

    /// The largest number that any rank has requested, from finish on.
    int request() const;

    /// The moments of one layer over the global batch (see moments.hpp), from finish to the next forward
    /// pass.
    const double* moments(std::size_t layer) const;

  private:
    std::span<BatchNorm<Scalar>* const> layers_;
    bool pools_moments_;
    std::vector<Index> offsets_;  // of each layer's moments in the message
    std::unique_ptr<TreeExchange> exchange_;
    ExchangeLabel label_;
    const double* result_ = nullptr;
};

extern template class StepSummary<float>;
extern template class StepSummary<double>;

}  // namespace lockstep
