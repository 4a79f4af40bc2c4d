#include <lockstep/base/aligned_vector.hpp>

#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace lockstep {
namespace {

constexpr std::size_t huge_page_bytes = std::size_t{2} << 20;

/// Where whole huge pages fit in, wherever the array ends.
bool is_large(std::size_t bytes) {
    return bytes >= 2 * huge_page_bytes;
}

std::align_val_t alignment(std::size_t bytes) {
    return std::align_val_t{is_large(bytes) ? huge_page_bytes : cache_line_bytes};
}

}  // namespace

void* allocate_aligned(std::size_t bytes) {
    void* const memory = ::operator new(bytes, alignment(bytes));
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    // Ten to twenty per cent of a kernel's time: prefetchers stop at the end of a page, and every page costs
    // a translation. Only whole huge pages, so that no memory is taken that was not asked for. A refusal is
    // fine.
    if (is_large(bytes)) ::madvise(memory, bytes / huge_page_bytes * huge_page_bytes, MADV_HUGEPAGE);
#endif
    return memory;
}

void free_aligned(void* memory, std::size_t bytes) noexcept {
    ::operator delete(memory, alignment(bytes));
}

}  // namespace lockstep
