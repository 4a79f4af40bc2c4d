/// The sum over several nodes: in shared memory within each, in messages between them.
///
/// The array goes in buckets, and each bucket in as many lanes as every node has ranks: rank number i of each node has
/// lane i. Once all ranks of its node have completed a bucket it adds up what they have of its lane, which makes the
/// node's cover, and sums that with its counterparts on the other nodes (see ReplicaSum): all ranks drive the network,
/// and what leaves a node does not grow with their number. The result goes into one array that the whole node reads.
///
/// Within a node all hangs on counters that only grow, over all sums. In the sum number s (from 0) of K buckets:
///   given[rank]  s·K + k once the rank has completed its last k buckets
///   done[rank]   … once the results of its lane of so many buckets are there
/// Nobody overwrites what another still reads: arrays are written anew after finish(), when all lanes are done; and a
/// result when all ranks have given something for the next sum, after they have read the last one.
///
/// A rank without others on its node needs no shared memory: its own cover is the node's, and the result replaces it.
#pragma once

#include <lockstep/base/aligned_vector.hpp>
#include <lockstep/comm/fixed_tree.hpp>
#include <lockstep/comm/gradient_sum.hpp>
#include <lockstep/comm/node_memory.hpp>
#include <lockstep/comm/nodes.hpp>
#include <lockstep/comm/replica_sum.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace lockstep {

template <class Scalar>
class ClusterSum final : public GradientSum<Scalar> {
  public:
    /// Collective. The nodes' ranks must be in order; null, alike on all ranks, where those of a node cannot share the
    /// memory.
    static std::unique_ptr<ClusterSum> create(const Communicator& communicator, const ReplicaMap& map,
                                              Index values, const Nodes& nodes);

    std::string path() const override;
    void ready(Index offset) override;
    const Scalar* finish() override;

  private:
    struct Counters;
    struct Memory {  // either of them
        std::optional<NodeMemory> node;
        std::vector<AlignedVector<Scalar>> own;
    };
    /// This rank's lane of a bucket.
    struct Lane {
        Index begin, end;                         // of the bucket
        Index first, values;                      // of the lane
        std::unique_ptr<ReplicaSum<Scalar>> sum;  // null where the lane is empty, or another rank's
    };

    ClusterSum(const Communicator& communicator, const ReplicaMap& map, Index values, const Nodes& nodes,
               std::shared_ptr<Memory> memory);
    void place_arrays(const ReplicaMap& map, Index values);
    void cut_lanes(const ReplicaMap& map, Index values, const Nodes& nodes);
    Counters& counters(int index) const;
    bool bucket_is_complete();
    void add_within_node(const Lane& lane);
    void start_next();
    void drive();
    bool all_done() const;
    [[noreturn]] void fail_on_time();

    Communicator communicator_;
    std::shared_ptr<Memory> memory_;
    std::vector<int> mates_;
    int index_;
    int nodes_;
    FoldPlan node_fold_;               // of the covers of the node's ranks
    std::vector<Scalar*> operands_;    // whole arrays, from left to right
    std::vector<Scalar*> node_cover_;  // what the fold leaves
    std::vector<Scalar*> stack_;
    Scalar* result_ = nullptr;
    std::vector<Lane> lanes_;         // of the buckets, from the array's end to its beginning
    std::uint64_t before_ = 0;        // buckets of all sums before this one
    std::uint64_t given_ = 0;         // by this rank, in this sum
    std::uint64_t given_by_all_ = 0;  // in all sums, at the last look
    std::size_t started_ = 0, finished_ = 0;
};

extern template class ClusterSum<float>;
extern template class ClusterSum<double>;

}  // namespace lockstep
