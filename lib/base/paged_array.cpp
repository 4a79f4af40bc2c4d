#include <lockstep/base/aligned_vector.hpp>
#include <lockstep/base/paged_array.hpp>

#include <algorithm>
#include <cstring>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace lockstep {

std::size_t PagedMemory::page_bytes() const {
    return (bytes_ + page_size() - 1) / page_size() * page_size();
}

PagedMemory& PagedMemory::operator=(PagedMemory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
}

#ifdef __linux__

namespace {

constexpr std::size_t huge_page_bytes = std::size_t{2} << 20;

/// Pages of zeros, with what is needed to begin on a huge page where whole ones fit in.
std::byte* map_zeros(std::size_t bytes) {
    const std::size_t slack = bytes >= 2 * huge_page_bytes ? huge_page_bytes : 0;
    void* const mapped =
        ::mmap(nullptr, bytes + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) throw std::bad_alloc();
    auto* const first = static_cast<std::byte*>(mapped);
    if (slack == 0) return first;
    const std::size_t before =
        (huge_page_bytes - reinterpret_cast<std::uintptr_t>(first) % huge_page_bytes) % huge_page_bytes;
    if (before > 0) ::munmap(first, before);
    if (before < slack) ::munmap(first + before + bytes, slack - before);
    // See aligned_vector.cpp. A refusal is fine.
    ::madvise(first + before, bytes / huge_page_bytes * huge_page_bytes, MADV_HUGEPAGE);
    return first + before;
}

}  // namespace

std::size_t PagedMemory::page_size() {
    static const auto bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    return bytes;
}

PagedMemory::PagedMemory(std::size_t bytes) : bytes_(bytes) {
    if (bytes > 0) data_ = map_zeros(page_bytes());
}

PagedMemory::~PagedMemory() {
    if (data_ != nullptr) ::munmap(data_, page_bytes());
}

bool PagedMemory::show(int file, std::uint64_t offset) {
    if (data_ == nullptr) return true;
    // Without reserve: whoever writes here at all writes little.
    return ::mmap(data_, page_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, file,
                  static_cast<off_t>(offset)) != MAP_FAILED;
}

void PagedMemory::renew() {
    if (data_ != nullptr) ::madvise(data_, page_bytes(), MADV_DONTNEED);
}

#else

std::size_t PagedMemory::page_size() {
    return 4096;
}

PagedMemory::PagedMemory(std::size_t bytes) : bytes_(bytes) {
    if (bytes == 0) return;
    data_ = static_cast<std::byte*>(allocate_aligned(bytes));
    std::memset(data_, 0, bytes);
}

PagedMemory::~PagedMemory() {
    if (data_ != nullptr) free_aligned(data_, bytes_);
}

bool PagedMemory::show(int, std::uint64_t) {
    return false;
}

void PagedMemory::renew() {}

#endif

}  // namespace lockstep
