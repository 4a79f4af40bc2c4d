/// Memory that a node has once: all its ranks read it, and each writes a share of it.
///
/// What is written before meet() by any rank of the node can be read after it by all. Who meets is told by counters that
/// only grow: a rank's says how often it has come.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/base/shape.hpp>
#include <lockstep/comm/communicator.hpp>
#include <lockstep/comm/node_memory.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace lockstep {

/// Elements [begin, end) of an array.
struct ArrayShare {
    Index begin = 0;
    Index end = 0;

    Index size() const { return end - begin; }
};

class LOCKSTEP_EXPORT NodeArrays {
  public:
    /// Collective. `bytes` of zeros for each node, the same on every rank. Null, alike on all ranks, where no node has
    /// several ranks, or those of one cannot share the memory. Throws CommunicationError after the time-out.
    static std::shared_ptr<NodeArrays> allocate(const Communicator& communicator, std::size_t bytes);

    /// Starts on a cache line. What is taken of it is valid as long as this.
    std::byte* memory() const { return memory_.block(0) + header_bytes; }
    /// The share of this rank among those of its node in an array of `values`; cut on cache lines whatever the type.
    ArrayShare share(Index values) const;
    /// Waits for all ranks of the node. Collective within it. Throws CommunicationError after the time-out, which names
    /// who did not come.
    void meet(std::string_view what);

  private:
    static constexpr std::size_t header_bytes = 64;

    NodeArrays(const Communicator& communicator, NodeMemory memory, std::vector<int> mates, int index);
    std::uint64_t* arrivals(int index) const;

    Communicator communicator_;
    NodeMemory memory_;
    std::vector<int> mates_;
    int index_;
    std::uint64_t meetings_ = 0;
};

}  // namespace lockstep
