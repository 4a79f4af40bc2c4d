#include "watched_file.hpp"

#include <lockstep/base/error.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace lockstep {

WatchedFile::WatchedFile(std::filesystem::path path) : path_(std::move(path)) {
    // A pipe is refused below; O_NONBLOCK, so that opening it does not wait for its other end.
    const int descriptor = ::open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0 && errno == ENOENT) fail("there is no such file");
    if (descriptor < 0) fail(std::string("cannot be opened: ") + std::strerror(errno));
    struct stat status {};
    const int code = ::fstat(descriptor, &status) == 0 ? 0 : errno;
    const bool usable = code == 0 && S_ISREG(status.st_mode) && status.st_size > 0;
    if (!usable) {
        ::close(descriptor);
        if (code != 0) fail(std::string("cannot be looked at: ") + std::strerror(code));
        if (S_ISDIR(status.st_mode)) fail("it is a folder, where a file was expected");
        if (!S_ISREG(status.st_mode)) fail("it is a pipe or a device, where a file was expected");
        fail("it is empty");
    }
    descriptor_ = descriptor;
    size_ = static_cast<std::size_t>(status.st_size);
    changed_ = status.st_mtim;
}

WatchedFile::~WatchedFile() {
    ::close(descriptor_);
}

std::size_t WatchedFile::read(std::size_t offset, std::span<std::byte> bytes) const {
    std::size_t done = 0;
    while (done < bytes.size()) {
        const ssize_t got =
            ::pread(descriptor_, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) fail(std::string("cannot be read: ") + std::strerror(errno));
        if (got == 0) break;
        done += static_cast<std::size_t>(got);
    }
    return done;
}

void WatchedFile::verify() const {
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0)
        fail(std::string("cannot be looked at any more: ") + std::strerror(errno));
    const auto size = static_cast<std::size_t>(status.st_size);
    const std::string sizes =
        ": it holds " + std::to_string(size) + " bytes and held " + std::to_string(size_) + "; start again";
    if (size < size_) fail("was cut while it was read" + sizes);
    if (size > size_) fail("has grown while it was read" + sizes);
    if (status.st_mtim.tv_sec != changed_.tv_sec || status.st_mtim.tv_nsec != changed_.tv_nsec)
        fail("was changed while it was read; start again");
}

void WatchedFile::fail(const std::string& what) const {
    throw FileError(path_.string() + ": " + what);
}

}  // namespace lockstep
