#include "mapped_file.hpp"

#include <lockstep/base/error.hpp>

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace lockstep {
namespace {

const std::byte* map_whole(const WatchedFile& file) {
    void* const begin = ::mmap(nullptr, file.size(), PROT_READ, MAP_SHARED, file.descriptor(), 0);
    if (begin == MAP_FAILED) file.fail(std::string("cannot be mapped: ") + std::strerror(errno));
    // Rows are read in random order: without this the kernel reads 128 KB around each. Who reads in order says so
    // with prefetch().
    ::madvise(begin, file.size(), MADV_RANDOM);
    return static_cast<const std::byte*>(begin);
}

}  // namespace

void MappedFile::Unmap::operator()(const std::byte* begin) const {
    ::munmap(const_cast<std::byte*>(begin), size);
}

MappedFile::MappedFile(const std::filesystem::path& path)
    : file_(path), mapping_(map_whole(file_), Unmap{file_.size()}), guard_(mapping_.get(), file_.size()) {}

void MappedFile::verify() const {
    file_.verify();
    check_pages();
}

void MappedFile::prefetch(std::size_t offset, std::size_t count) const {
    static const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t first = offset / page * page;
    ::madvise(const_cast<std::byte*>(mapping_.get()) + first, offset + count - first, MADV_WILLNEED);
}

void MappedFile::fail_cut() const {
    file_.verify();  // has the sizes
    file_.fail("a part of it could not be read; the file was cut while it was read, or its disk has failed");
}

}  // namespace lockstep
