#include "memory_offer.hpp"

#include <cstring>
#include <random>
#include <string>

#ifdef __linux__
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#endif

namespace lockstep {

#ifdef __linux__

namespace {

constexpr const char* memory_name = "lockstep";

std::uint64_t random_mark() {
    std::random_device device;
    return std::uint64_t{device()} << 32 | device();
}

/// Memory without a name, given by the system here and now: later would be too late for an error.
bool reserve(int file, std::uint64_t bytes) {
    // More than there is would be given, and found wanting, page by page.
    const long pages = ::sysconf(_SC_PHYS_PAGES), page_bytes = ::sysconf(_SC_PAGESIZE);
    if (pages < 0 || bytes / static_cast<std::uint64_t>(page_bytes) >= static_cast<std::uint64_t>(pages))
        return false;
    // Memory counts as a file here, and a file beyond the limit is a signal that ends the process.
    rlimit limit{};
    if (::getrlimit(RLIMIT_FSIZE, &limit) != 0 || bytes > limit.rlim_cur) return false;
    return ::posix_fallocate(file, 0, static_cast<off_t>(bytes)) == 0;
}

/// Asked before it is opened: to open a stranger's pipe or device could block, or do worse.
bool is_node_memory(const std::string& path) {
    const std::string expected = std::string("/memfd:") + memory_name + " (deleted)";
    std::string target(expected.size() + 1, '\0');
    const auto length = ::readlink(path.c_str(), target.data(), target.size());
    return length == static_cast<ssize_t>(expected.size()) && target.starts_with(expected);
}

Mapping map_file(int file, std::size_t bytes) {
    void* const start = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file, 0);
    if (start == MAP_FAILED) return {};
    return Mapping(static_cast<std::byte*>(start), Unmap{bytes});
}

}  // namespace

void Unmap::operator()(std::byte* mapping) const {
    ::munmap(mapping, bytes);
}

OfferedFile::OfferedFile(const MemoryOffer& offer) : offer_(offer) {
    if (offer.file < 0) return;
    const std::string path = "/proc/" + std::to_string(offer.process) + "/fd/" + std::to_string(offer.file);
    if (is_node_memory(path)) file_ = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
}

OfferedFile::~OfferedFile() {
    if (file_ >= 0) ::close(file_);
}

Mapping OfferedFile::map() const {
    // A stranger's may be shorter, and to read beyond its end would be the end of us.
    if (file_ < 0 || ::lseek(file_, 0, SEEK_END) != static_cast<off_t>(offer_.mapped)) return {};
    Mapping mapping = map_file(file_, offer_.mapped);
    if (mapping && std::memcmp(mapping.get(), &offer_.mark, sizeof offer_.mark) != 0) mapping.reset();
    return mapping;
}

OfferedMemory::OfferedMemory(std::size_t bytes)
    : file_(::memfd_create(memory_name, MFD_CLOEXEC)),
      offer_{.process = ::getpid(), .mapped = bytes + mark_bytes, .mark = random_mark()} {
    if (file_ >= 0 && bytes < offer_.mapped && reserve(file_, offer_.mapped))
        mapping_ = map_file(file_, offer_.mapped);
    if (!mapping_) return;
    std::memcpy(mapping_.get(), &offer_.mark, sizeof offer_.mark);
    offer_.file = file_;
}

OfferedMemory::~OfferedMemory() {
    if (file_ >= 0) ::close(file_);
}

#else

void Unmap::operator()(std::byte*) const {}

OfferedFile::OfferedFile(const MemoryOffer& offer) : offer_(offer) {}
OfferedFile::~OfferedFile() = default;

Mapping OfferedFile::map() const {
    return {};
}

OfferedMemory::OfferedMemory(std::size_t) {}
OfferedMemory::~OfferedMemory() = default;

#endif

Mapping map_offer(const MemoryOffer& offer) {
    return OfferedFile(offer).map();
}

}  // namespace lockstep
