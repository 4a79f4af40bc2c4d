#include <lockstep/base/aligned_vector.hpp>

#include <new>

#include "huge_pages.hpp"

namespace lockstep {
namespace {

std::align_val_t alignment(std::size_t bytes) {
    return std::align_val_t{has_huge_pages(bytes) ? huge_page_bytes : cache_line_bytes};
}

}  // namespace

void* allocate_aligned(std::size_t bytes) {
    void* const memory = ::operator new(bytes, alignment(bytes));
    ask_for_huge_pages(memory, bytes);
    return memory;
}

void free_aligned(void* memory, std::size_t bytes) noexcept {
    ::operator delete(memory, alignment(bytes));
}

}  // namespace lockstep
