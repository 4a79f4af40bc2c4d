/// Memory that the ranks of a node read and write together.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/comm/communicator.hpp>

#include <cstddef>
#include <memory>
#include <optional>

namespace lockstep {

/// One block of memory from each rank of the calling rank's node (see nodes_of), mapped by all of them.
///
/// The blocks have no name in any file system: nothing is left behind however a rank ends, and the size of
/// /dev/shm, which is small in containers, does not matter. A block lives until the last rank has let go of
/// it, so destruction waits for nobody. Linux only; elsewhere there never is any.
class LOCKSTEP_EXPORT NodeMemory {
  public:
    /// Collective. Each rank gives a block of `bytes`, full of zeros; the sizes may differ. std::nullopt,
    /// alike on all ranks of all nodes, where any of them cannot give its block or reach another's of its node:
    /// forbidden, or short of memory. Throws CommunicationError after the time-out.
    static std::optional<NodeMemory> allocate(const Communicator& communicator, std::size_t bytes);

    NodeMemory(NodeMemory&&) noexcept;
    NodeMemory& operator=(NodeMemory&&) noexcept;
    ~NodeMemory();

    /// The block of the rank number `index` of this node (see Nodes::mates); starts on a cache line.
    std::byte* block(int index) const;

  private:
    struct Blocks;
    explicit NodeMemory(std::unique_ptr<Blocks> blocks);

    std::unique_ptr<Blocks> blocks_;
};

}  // namespace lockstep
