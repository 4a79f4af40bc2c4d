#include <lockstep/base/atomic_file.hpp>

#include "partial_file.hpp"

#include <lockstep/base/error.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace lockstep {
namespace {

std::string_view hint_for(int code) {
    switch (code) {
        case ENOENT:
        case ENOTDIR:
            return "create its folder first";
        case EACCES:
        case EPERM:
        case EROFS:
            return "choose a folder that you may write to";
        case ENOSPC:
        case EDQUOT:
            return "free some space, or choose another folder";
        case EFBIG:
            return "raise the limit on file sizes (ulimit -f)";
        case EISDIR:
            return "a folder of that name is in the way";
        default:
            return "check the disk and the folder's permissions";
    }
}

std::filesystem::path folder_of(const std::filesystem::path& target) {
    return target.has_parent_path() ? target.parent_path() : std::filesystem::path(".");
}

[[noreturn]] void fail(std::string_view action, const std::filesystem::path& path) {
    const int code = errno;
    throw FileError(std::string(action) + " " + path.string() + ": " + std::strerror(code) + "; " +
                    std::string(hint_for(code)));
}

/// False if it failed; errno says why.
bool flush_names(const std::filesystem::path& path) {
    const int folder = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return true;  // a folder that may be written but not read: nothing more can be done
    const int status = ::fsync(folder);
    const int code = errno;
    ::close(folder);
    errno = code;
    return status == 0 || code == EINVAL || code == ENOTSUP;
}

}  // namespace

AtomicFile::AtomicFile(std::filesystem::path target) : target_(std::move(target)) {
    const std::string name = target_.filename().string();
    PartialFile partial = make_partial_file(folder_of(target_), name);
    temporary_ = std::move(partial.path);
    descriptor_ = partial.descriptor;
    if (descriptor_ < 0) fail("cannot create a file in the folder of");
    pending_ = true;
    remove_dead_partials(folder_of(target_), name, descriptor_);
}

AtomicFile::~AtomicFile() {
    discard();
}

void AtomicFile::write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written == 0) errno = ENOSPC;  // no progress and no reason given: never loop for ever
        if (written <= 0) fail("cannot write");
        bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
}

void AtomicFile::resize(std::size_t bytes) {
    if (::ftruncate(descriptor_, static_cast<off_t>(bytes)) != 0) fail("cannot make room for");
}

void AtomicFile::commit() {
    if (::fsync(descriptor_) != 0) fail("cannot flush");
    // Network file systems may report a full disk no earlier than when a descriptor is closed. The other one
    // keeps the lock until the file has its name, lest it be taken for a dead process's.
    const int flushed = ::fcntl(descriptor_, F_DUPFD_CLOEXEC, 0);
    if (flushed < 0 || ::close(flushed) != 0) fail("cannot close");
    if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail("cannot put in place");
    pending_ = false;
    ::close(std::exchange(descriptor_, -1));

    if (!flush_names(folder_of(target_))) fail("cannot flush the folder of");
}

void AtomicFile::discard() noexcept {
    if (pending_) ::unlink(temporary_.c_str());
    pending_ = false;
    if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
}

void AtomicFile::fail(std::string_view action) const {
    lockstep::fail(action, target_);
}

void flush_folder(const std::filesystem::path& folder) {
    if (!flush_names(folder)) fail("cannot flush the folder", folder);
}

void remove_dead_partials(const std::filesystem::path& folder) {
    // A file of our own is the clock, and shows that the folder may be written at all.
    const PartialFile clock = make_partial_file(folder, "clock");
    if (clock.descriptor < 0) return;
    remove_dead_partials(folder, "", clock.descriptor);
    ::unlink(clock.path.c_str());
    ::close(clock.descriptor);
}

}  // namespace lockstep
