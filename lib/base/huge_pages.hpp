/// Huge pages for large arrays: ten to twenty per cent of a kernel's time, since prefetchers stop at the end of a page,
/// and every page costs a translation.
#pragma once

#include <cstddef>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace lockstep {

constexpr std::size_t huge_page_bytes = std::size_t{2} << 20;

/// Where whole huge pages fit in, wherever the array ends.
constexpr bool has_huge_pages(std::size_t bytes) {
    return bytes >= 2 * huge_page_bytes;
}

/// Asks for huge pages from `memory`, which begins on one, for whole ones only, so that no memory is taken that was not
/// asked for. A refusal is fine.
inline void ask_for_huge_pages([[maybe_unused]] void* memory, [[maybe_unused]] std::size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (has_huge_pages(bytes)) ::madvise(memory, bytes / huge_page_bytes * huge_page_bytes, MADV_HUGEPAGE);
#endif
}

}  // namespace lockstep
