/// One block of memory that a rank offers to the others of its node, and how they find it.
///
/// The memory has no name in any file system: nothing is left behind however a rank ends, and the size of /dev/shm, which
/// is small in containers, does not matter. It is found by the numbers of process and file and proved by the mark that
/// it begins with: on another node, or in another container, the numbers are those of a stranger. Linux only.
#pragma once

#include <lockstep/base/aligned_vector.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace lockstep {

struct Unmap {
    std::size_t bytes = 0;
    void operator()(std::byte* mapping) const;
};
/// Of the mark and the block after it.
using Mapping = std::unique_ptr<std::byte, Unmap>;

/// Before the block, and as long as to keep it aligned: the mark.
inline constexpr std::size_t mark_bytes = cache_line_bytes;

/// What a rank tells the others of its block.
struct MemoryOffer {
    std::int64_t process = 0;
    std::int64_t file = -1;    ///< none where the rank has no block to give
    std::uint64_t mapped = 0;  ///< bytes, with the mark
    std::uint64_t mark = 0;
};

/// What a rank offers, as another one has it open.
class OfferedFile {
  public:
    /// Has nothing where the block cannot be reached.
    explicit OfferedFile(const MemoryOffer& offer);
    ~OfferedFile();
    OfferedFile(const OfferedFile&) = delete;
    OfferedFile& operator=(const OfferedFile&) = delete;

    /// Null where there is nothing, or not what the offer says.
    Mapping map() const;
    /// For more views of what map() has found to be the offered block; -1 where there is nothing.
    int descriptor() const { return file_; }

  private:
    const MemoryOffer offer_;
    int file_ = -1;
};

/// Maps what another rank offers; null where it cannot be reached, or is not what the offer says.
Mapping map_offer(const MemoryOffer& offer);

/// A block full of zeros on offer as long as this lives; what has been mapped of it lives on.
class OfferedMemory {
  public:
    /// Offers nothing where the system does not give so much.
    explicit OfferedMemory(std::size_t bytes);
    ~OfferedMemory();
    OfferedMemory(const OfferedMemory&) = delete;
    OfferedMemory& operator=(const OfferedMemory&) = delete;

    const MemoryOffer& offer() const { return offer_; }
    /// The block for this rank itself: once, and null where nothing is offered.
    Mapping take() { return std::move(mapping_); }

  private:
    int file_ = -1;
    MemoryOffer offer_;
    Mapping mapping_;
};

}  // namespace lockstep
