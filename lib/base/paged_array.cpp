#include <lockstep/base/paged_array.hpp>

#include <lockstep/base/aligned_vector.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>

#include "huge_pages.hpp"

#ifdef __linux__
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
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

/// Pages of zeros, with what is needed to begin on a huge page where whole ones fit in.
std::byte* map_zeros(std::size_t bytes) {
    const std::size_t slack = has_huge_pages(bytes) ? huge_page_bytes : 0;
    void* const mapped =
        ::mmap(nullptr, bytes + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) throw std::bad_alloc();
    auto* const first = static_cast<std::byte*>(mapped);
    if (slack == 0) return first;
    const std::size_t before =
        (huge_page_bytes - reinterpret_cast<std::uintptr_t>(first) % huge_page_bytes) % huge_page_bytes;
    if (before > 0) ::munmap(first, before);
    if (before < slack) ::munmap(first + before + bytes, slack - before);
    ask_for_huge_pages(first + before, bytes);
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

PageCopies::PageCopies() : file_(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)) {}

PageCopies::~PageCopies() {
    if (file_ >= 0) ::close(file_);
}

bool PageCopies::any_of(const PagedMemory& memory) const {
    // One number for each page: see pagemap.rst of the kernel's documentation.
    constexpr std::uint64_t of_a_file = std::uint64_t{1} << 61, swapped = std::uint64_t{1} << 62,
                            present = std::uint64_t{1} << 63;
    std::array<std::uint64_t, 512> numbers;
    std::size_t page = reinterpret_cast<std::uintptr_t>(memory.data()) / PagedMemory::page_size();
    std::size_t left = memory.page_bytes() / PagedMemory::page_size();
    while (left > 0) {
        const std::size_t count = std::min(left, numbers.size());
        const auto bytes = static_cast<ssize_t>(count * sizeof numbers[0]);
        if (::pread(file_, numbers.data(), count * sizeof numbers[0],
                    static_cast<off_t>(page * sizeof numbers[0])) != bytes)
            return true;  // who cannot look supposes it
        for (std::size_t i = 0; i < count; ++i)
            if ((numbers[i] & (present | swapped)) != 0 && (numbers[i] & of_a_file) == 0) return true;
        page += count;
        left -= count;
    }
    return false;
}

std::uint64_t PageCopies::page_faults() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return static_cast<std::uint64_t>(usage.ru_minflt) + static_cast<std::uint64_t>(usage.ru_majflt);
}

bool PageCopies::can_tell(PagedMemory& memory) const {
    if (memory.bytes() == 0) return true;
    auto* const first = static_cast<volatile std::byte*>(memory.data());
    const std::byte value = *first;
    if (any_of(memory)) return false;
    const std::uint64_t faults = page_faults();
    *first = value;
    if (!any_of(memory) || page_faults() == faults) return false;
    memory.renew();
    return *first == value && !any_of(memory);
}

#else

PageCopies::PageCopies() = default;
PageCopies::~PageCopies() = default;

bool PageCopies::any_of(const PagedMemory&) const {
    return true;
}

std::uint64_t PageCopies::page_faults() {
    return 0;
}

bool PageCopies::can_tell(PagedMemory&) const {
    return false;
}

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
