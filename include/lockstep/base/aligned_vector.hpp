/// std::vector whose storage starts on a cache line, so that vector loads never straddle one; large ones on a
/// huge page, where the system has them.
#pragma once

#include <lockstep/base/export.hpp>

#include <cstddef>
#include <vector>

namespace lockstep {

inline constexpr std::size_t cache_line_bytes = 64;

/// What AlignedAllocator calls; `bytes` are the same for both. Throws std::bad_alloc.
LOCKSTEP_EXPORT void* allocate_aligned(std::size_t bytes);
LOCKSTEP_EXPORT void free_aligned(void* memory, std::size_t bytes) noexcept;

template <class T>
struct AlignedAllocator {
    using value_type = T;

    AlignedAllocator() = default;
    template <class U>
    AlignedAllocator(const AlignedAllocator<U>&) noexcept {}

    T* allocate(std::size_t count) { return static_cast<T*>(allocate_aligned(count * sizeof(T))); }
    void deallocate(T* pointer, std::size_t count) noexcept { free_aligned(pointer, count * sizeof(T)); }

    friend bool operator==(const AlignedAllocator&, const AlignedAllocator&) { return true; }
};

template <class T>
using AlignedVector = std::vector<T, AlignedAllocator<T>>;

}  // namespace lockstep
