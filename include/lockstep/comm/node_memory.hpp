/// Memory that all ranks of a communicator read and write, where all of them live on one node.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/comm/communicator.hpp>

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

namespace lockstep {

/// One block of memory from each rank, mapped by all of them.
///
/// The blocks have no name in any file system: nothing is left behind however a rank ends, and the size of
/// /dev/shm, which is small in containers, does not matter. A block lives until the last rank has let go of
/// it, so destruction waits for nobody. Linux only; elsewhere there never is any.
class LOCKSTEP_EXPORT NodeMemory {
  public:
    /// Collective. Each rank gives a block of `bytes`, full of zeros; the sizes may differ. std::nullopt,
    /// alike on all ranks, where any of them cannot give its block or reach another's: on another node or in
    /// another container, forbidden, or short of memory. Throws CommunicationError after the time-out.
    static std::optional<NodeMemory> allocate(const Communicator& communicator, std::size_t bytes);

    /// The block of a rank; starts on a cache line.
    std::byte* block(int rank) const;

  private:
    struct Unmap {
        std::size_t bytes = 0;
        void operator()(std::byte* mapping) const;
    };
    using Mapping = std::unique_ptr<std::byte, Unmap>;
    struct Offer;

    NodeMemory() = default;
    static Mapping map(int file, std::size_t bytes);
    static Mapping map(const Offer& offer);

    std::vector<Mapping> mappings_;  // by rank
};

}  // namespace lockstep
