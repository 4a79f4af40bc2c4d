/// Sums gradients over all replicas while backward is still at work.
///
/// Backward completes the flat gradient array from its end, and says from which offset on it is complete.
///   Where all ranks live on one node, gradients lie in memory that they share and are added there: NodeSum.
///   Elsewhere they travel in messages: the array is cut into buckets from its end, and each starts its sum,
///   a ReplicaSum, as soon as it is complete. A bucket is a range of the array: nothing is packed or copied.
/// Both ways give the same bits.
#pragma once

#include <lockstep/base/aligned_vector.hpp>
#include <lockstep/base/export.hpp>
#include <lockstep/comm/communicator.hpp>
#include <lockstep/comm/node_sum.hpp>
#include <lockstep/comm/replica_map.hpp>
#include <lockstep/comm/replica_sum.hpp>

#include <memory>
#include <vector>

namespace lockstep {

/// How gradients get from rank to rank. `automatic` is memory where the ranks can share it (see NodeMemory)
/// and the reduction is reproducible, else messages.
enum class GradientPath { automatic, messages };

/// One for each network. Owns the arrays that gradients are reduced in. Instantiated for float and double.
template <class Scalar>
class LOCKSTEP_EXPORT GradientReducer {
  public:
    struct Options {
        Reduction reduction = Reduction::reproducible;
        GradientPath path = GradientPath::automatic;
    };

    /// Collective.
    GradientReducer(const Communicator& communicator, const ReplicaMap& map, Index values, Options options);

    /// Where the rank writes its gradients: one array of all values for each node of its cover of tree(0, R),
    /// from left to right. See GradientStore.
    const std::vector<Scalar*>& cover() const { return cover_; }
    /// Whether gradients are added in memory that the ranks share. Alike on all ranks.
    bool shares_memory() const { return node_sum_ != nullptr; }

    /// Says that all gradients from `offset` on are complete; offsets never rise.
    void ready(Index offset);
    /// Completes all sums and returns the gradients of the global batch, alike on all ranks, valid until the
    /// next ready(). Throws CommunicationError after the communicator's time-out.
    const Scalar* finish();

  private:
    struct Bucket {
        Index begin;
        std::unique_ptr<ReplicaSum<Scalar>> sum;
    };

    void cut_buckets(const Communicator& communicator, const ReplicaMap& map, Index values,
                     Reduction reduction);
    void poll();

    std::vector<Scalar*> cover_;
    std::unique_ptr<NodeSum<Scalar>> node_sum_;  // null where gradients travel in messages

    std::shared_ptr<std::vector<AlignedVector<Scalar>>> storage_;
    std::vector<Bucket> buckets_;  // from the end of the array to its beginning
    std::size_t started_ = 0;
    std::size_t finished_ = 0;
};

extern template class GradientReducer<float>;
extern template class GradientReducer<double>;

}  // namespace lockstep
