/// Sums gradients over all replicas while backward is still at work.
///
/// The flat gradient array is cut into buckets from its end, because backward completes it from there. A
/// bucket is a range of the array: nothing is packed or copied. Backward says from which offset on gradients
/// are complete; every bucket that lies beyond starts its sum at once, and those under way are driven on.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/comm/communicator.hpp>
#include <lockstep/comm/replica_map.hpp>
#include <lockstep/comm/replica_sum.hpp>
#include <lockstep/nn/gradient_store.hpp>

#include <memory>
#include <vector>

namespace lockstep {

/// One for each network; the store outlives it. Instantiated for float and double.
template <class Scalar>
class LOCKSTEP_EXPORT GradientReducer {
  public:
    GradientReducer(const Communicator& communicator, const ReplicaMap& map, GradientStore<Scalar>& gradients,
                    Reduction reduction);

    /// Says that all gradients from `offset` on are complete.
    void ready(Index offset);
    /// Completes all sums and returns the gradients of the global batch, alike on all ranks. Throws
    /// CommunicationError after the communicator's time-out.
    const Scalar* finish();

  private:
    struct Bucket {
        Index begin;
        std::unique_ptr<ReplicaSum<Scalar>> sum;
    };

    void poll();

    std::vector<Bucket> buckets_;  // from the end of the array to its beginning
    std::size_t started_ = 0;
    std::size_t finished_ = 0;
    const Scalar* result_;
};

extern template class GradientReducer<float>;
extern template class GradientReducer<double>;

}  // namespace lockstep
