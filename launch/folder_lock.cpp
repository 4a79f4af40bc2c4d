#include "folder_lock.hpp"

#include <lockstep/base/error.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <string>
#include <thread>

namespace lockstep::launch {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds patience(3);
constexpr std::chrono::milliseconds poll_interval(50);

// The lock of an open file, where there is one: that of a process goes as soon as any part of it closes the file.
#ifdef F_OFD_SETLK
constexpr int set_lock = F_OFD_SETLK;
#else
constexpr int set_lock = F_SETLK;
#endif

enum class Outcome { taken, held_by_another, gone, not_supported };

/// Whether `path` still names the open file: whoever ends removes it.
bool is_same_file(const fs::path& path, int descriptor) {
    struct stat named {
    }, open{};
    return ::lstat(path.c_str(), &named) == 0 && ::fstat(descriptor, &open) == 0 &&
           named.st_dev == open.st_dev && named.st_ino == open.st_ino;
}

Outcome try_lock(const fs::path& path, int descriptor) {
    struct flock whole {};
    whole.l_type = F_WRLCK;
    whole.l_whence = SEEK_SET;
    if (::fcntl(descriptor, set_lock, &whole) == 0)
        return is_same_file(path, descriptor) ? Outcome::taken : Outcome::gone;
    return errno == EAGAIN || errno == EACCES ? Outcome::held_by_another : Outcome::not_supported;
}

std::string this_process() {
    std::array<char, 256> host{};
    if (::gethostname(host.data(), host.size() - 1) != 0) host = {'?'};
    return "process " + std::to_string(::getpid()) + " on " + host.data();
}

void write_holder(int descriptor) {
    const std::string text = this_process() + "\n";
    // Only for people to read: a disk that is full keeps nobody from holding the lock.
    if (::ftruncate(descriptor, 0) == 0 && ::pwrite(descriptor, text.data(), text.size(), 0) < 0) errno = 0;
}

[[noreturn]] void refuse(const fs::path& folder, const fs::path& lock) {
    std::string holder;
    std::getline(std::ifstream(lock), holder);
    throw UsageError(folder.string() + ": another process is at work in this folder" +
                     (holder.empty() ? "" : " (" + holder + ")") +
                     ": wait until it has ended, or name another folder");
}

}  // namespace

FolderLock::FolderLock(const fs::path& folder) : path_(folder / ".lock") {
    // A run that was killed may still be on its way out when it is resumed.
    const auto end = std::chrono::steady_clock::now() + patience;
    for (;;) {
        descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (descriptor_ < 0) return;  // a folder that cannot be written: writing into it will say why
        const Outcome outcome = try_lock(path_, descriptor_);
        if (outcome == Outcome::taken) break;
        ::close(descriptor_);
        descriptor_ = -1;
        if (outcome == Outcome::not_supported) return;
        if (outcome == Outcome::held_by_another && std::chrono::steady_clock::now() > end)
            refuse(folder, path_);
        std::this_thread::sleep_for(poll_interval);
    }
    write_holder(descriptor_);
}

FolderLock::~FolderLock() {
    if (descriptor_ < 0) return;
    ::unlink(path_.c_str());  // while it is locked: nobody else's
    ::close(descriptor_);
}

}  // namespace lockstep::launch
