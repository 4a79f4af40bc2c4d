/// One long sum over replicas in memory that the ranks of a node share: what reduces gradients there.
///
/// Each rank writes its part of the sum, one array for each node of its cover, into memory that all others
/// read. The arrays are cut into chunks. Once all ranks have completed a chunk, any of them adds it up along
/// the fixed tree, straight into the one result that all read; nothing is copied or sent. Who adds which
/// chunk is left to chance, for the bits do not depend on it: so a rank that waits does the work of one that
/// is late.
///
/// All of this hangs on counters that only grow, over all sums. In the sum number s (from 0) of K chunks:
///   given[rank]  s·K + k once the rank has completed its last k chunks; arrays are completed from their end
///   claimed      chunks that somebody has set out to add, in the same order
///   added        chunks that are in the result
/// Why nobody overwrites what another still reads: a rank writes its arrays for the next sum after finish(),
/// when all chunks are added; and the first chunk of the next result is added when all ranks have given
/// something for the next sum, after they have read the last result.
#pragma once

#include <lockstep/base/aligned_vector.hpp>
#include <lockstep/base/shape.hpp>
#include <lockstep/comm/communicator.hpp>
#include <lockstep/comm/fixed_tree.hpp>
#include <lockstep/comm/gradient_sum.hpp>
#include <lockstep/comm/node_memory.hpp>
#include <lockstep/comm/replica_map.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace lockstep {

/// The communicator's ranks live on one node. Instantiated for float and double.
template <class Scalar>
class NodeSum final : public GradientSum<Scalar> {
  public:
    /// Collective; null, alike on all ranks, where they cannot share the memory.
    static std::unique_ptr<NodeSum> create(const Communicator& communicator, const ReplicaMap& map,
                                           Index count);

    std::string path() const override { return "in shared memory"; }
    void ready(Index offset) override;
    const Scalar* finish() override;

  private:
    struct Counters;

    NodeSum(const Communicator& communicator, const ReplicaMap& map, Index count, NodeMemory memory);
    Counters& counters(int rank) const;
    bool add_next_chunk();
    void add_chunk(Index begin, Index end);
    std::uint64_t given_by_all() const;
    [[noreturn]] void fail_on_time() const;

    Communicator communicator_;
    NodeMemory memory_;
    Index count_;
    std::uint64_t chunks_;
    FoldPlan top_;
    std::vector<const Scalar*> operands_;  // of the top of the tree, from left to right
    Scalar* result_;
    std::vector<const Scalar*> stack_;
    AlignedVector<Scalar> partial_sums_;  // of one chunk, for each entry of the stack
    std::uint64_t before_ = 0;            // chunks of all sums before this one
    std::uint64_t given_ = 0;             // by this rank
    std::uint64_t given_by_all_ = 0;      // at the last look
};

extern template class NodeSum<float>;
extern template class NodeSum<double>;

}  // namespace lockstep
