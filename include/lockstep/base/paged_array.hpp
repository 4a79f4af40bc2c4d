/// An array on pages of its own, which can show other memory in its place: the addresses stay.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/base/shape.hpp>

#include <cstddef>
#include <cstdint>
#include <utility>

namespace lockstep {

/// Full of zeros at first; takes memory only where it has been written. Large ones lie on huge pages, where the system has
/// them.
class LOCKSTEP_EXPORT PagedMemory {
  public:
    /// Throws std::bad_alloc.
    explicit PagedMemory(std::size_t bytes);
    PagedMemory(PagedMemory&& other) noexcept { *this = std::move(other); }
    PagedMemory& operator=(PagedMemory&& other) noexcept;
    ~PagedMemory();

    std::byte* data() const { return data_; }
    std::size_t bytes() const { return bytes_; }
    /// The whole pages that it lies on.
    std::size_t page_bytes() const;
    static std::size_t page_size();

    /// Puts a private view of a file in its place, from `offset` on, a multiple of page_size(): a page shows what the file
    /// has, and goes on showing it, until it is written here; from then on it is a copy of its own. False, and nothing
    /// has changed, where the system refuses. Linux only; elsewhere it does.
    bool show(int file, std::uint64_t offset);
    /// After show: gives up the copies.
    void renew();

  private:
    std::byte* data_ = nullptr;
    std::size_t bytes_ = 0;
};

/// Tells which pages have been written.
class LOCKSTEP_EXPORT PageCopies {
  public:
    PageCopies();
    ~PageCopies();
    PageCopies(const PageCopies&) = delete;
    PageCopies& operator=(const PageCopies&) = delete;

    /// Whether a page has been written since show or renew, be it with the values that it had. The system knows: no value
    /// is looked at.
    bool any_of(const PagedMemory& memory) const;
    /// How many pages the system has had to look after for this process so far: as long as it is the same, no copy has been
    /// made by it.
    static std::uint64_t page_faults();
    /// Whether the system says so, tried on the first page of memory that shows a file and has no copies.
    bool can_tell(PagedMemory& memory) const;

  private:
    int file_ = -1;
};

/// `size` values. Instantiate for what zeros are a value of.
template <class Value>
class PagedArray {
  public:
    explicit PagedArray(Index size)
        : memory_(static_cast<std::size_t>(size) * sizeof(Value)), size_(static_cast<std::size_t>(size)) {}

    Value* data() { return reinterpret_cast<Value*>(memory_.data()); }
    const Value* data() const { return reinterpret_cast<const Value*>(memory_.data()); }
    std::size_t size() const { return size_; }
    Value* begin() { return data(); }
    Value* end() { return data() + size_; }
    const Value* begin() const { return data(); }
    const Value* end() const { return data() + size_; }
    Value& operator[](std::size_t i) { return data()[i]; }
    const Value& operator[](std::size_t i) const { return data()[i]; }

    PagedMemory& memory() { return memory_; }

  private:
    PagedMemory memory_;
    std::size_t size_;
};

}  // namespace lockstep
