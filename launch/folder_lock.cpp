#include "folder_lock.hpp"

#include "stop_signals.hpp"

#include <lockstep/base/error.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <string>
#include <system_error>
#include <thread>

namespace lockstep::launch {
namespace {

namespace fs = std::filesystem;

using Seconds = std::chrono::duration<double>;

constexpr Seconds patience(3);
/// A server of NFS 4 takes a client for gone after 90 seconds, unless it is set otherwise.
constexpr Seconds patience_with_other_hosts(100);
constexpr std::chrono::milliseconds poll_interval(50);

// The lock of an open file, where there is one: that of a process goes as soon as any part of it closes the file.
#ifdef F_OFD_SETLK
constexpr int set_lock = F_OFD_SETLK, get_lock = F_OFD_GETLK;
#else
constexpr int set_lock = F_SETLK, get_lock = F_GETLK;
#endif

struct flock whole_file() {
    struct flock whole {};
    whole.l_type = F_WRLCK;
    whole.l_whence = SEEK_SET;
    return whole;
}

/// Whether `path` still names the open file: whoever ends removes it.
bool is_same_file(const fs::path& path, int descriptor) {
    struct stat named {
    }, open{};
    return ::lstat(path.c_str(), &named) == 0 && ::fstat(descriptor, &open) == 0 &&
           named.st_dev == open.st_dev && named.st_ino == open.st_ino;
}

std::string this_host() {
    std::array<char, 256> host{};
    if (::gethostname(host.data(), host.size() - 1) != 0) host = {'?'};
    return host.data();
}

std::string this_process() {
    return "process " + std::to_string(::getpid()) + " on " + this_host();
}

void write_holder(int descriptor) {
    const std::string text = this_process() + "\n";
    // Only for people to read: a disk that is full keeps nobody from holding the lock.
    if (::ftruncate(descriptor, 0) == 0 && ::pwrite(descriptor, text.data(), text.size(), 0) < 0) errno = 0;
}

/// As write_holder() has written it; empty if it has not, or not yet.
std::string read_holder(const fs::path& lock) {
    std::string holder(100, '\0');
    std::ifstream(lock).getline(holder.data(), static_cast<std::streamsize>(holder.size()));
    holder.resize(std::min(holder.find('\0'), holder.size()));
    std::erase_if(holder, [](unsigned char letter) { return !std::isprint(letter); });
    return holder;
}

bool is_of_another_host(const std::string& holder) {
    return !holder.empty() && !holder.ends_with(" on " + this_host());
}

[[noreturn]] void refuse(const fs::path& folder, const fs::path& lock) {
    const std::string holder = read_holder(lock);
    throw UsageError(folder.string() + ": another process is at work in this folder" +
                     (holder.empty() ? "" : " (" + holder + ")") +
                     ": wait until it has ended, or name another folder" +
                     (is_of_another_host(holder) ? "; if that host is gone, remove " + lock.string() : ""));
}

/// Waits for whoever holds a lock to go, and throws if it does not.
class Patience {
  public:
    Patience(const fs::path& folder, const fs::path& lock, double timeout_seconds)
        : folder_(folder),
          lock_(lock),
          with_this_host_(std::min(patience, Seconds(timeout_seconds / 2))),
          with_others_(std::min(patience_with_other_hosts, Seconds(timeout_seconds / 2))) {}

    void wait() const {
        if (const int signal = noted_stop_signal(); signal != 0)
            throw UsageError(folder_.string() + ": stopped by " + signal_name(signal) +
                             " while another process was at work in this folder");
        const Seconds waited = std::chrono::steady_clock::now() - begin_;
        if (waited > with_this_host_ && !(waited < with_others_ && is_of_another_host(read_holder(lock_))))
            refuse(folder_, lock_);
        std::this_thread::sleep_for(poll_interval);
    }

  private:
    const fs::path& folder_;
    const fs::path& lock_;
    Seconds with_this_host_, with_others_;
    std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace

LockOutcome lock_file(int descriptor) {
    struct flock whole = whole_file();
    if (::fcntl(descriptor, set_lock, &whole) == 0) return LockOutcome::taken;
    // A stale handle is a file that its holder has removed: it was held a moment ago.
    return errno == EAGAIN || errno == EACCES || errno == ESTALE ? LockOutcome::held_by_another
                                                                 : LockOutcome::not_supported;
}

bool is_locked(const fs::path& path) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0) return false;
    struct flock whole = whole_file();
    const bool locked = ::fcntl(descriptor, get_lock, &whole) == 0 && whole.l_type != F_UNLCK;
    ::close(descriptor);
    return locked;
}

FolderLock::FolderLock(const fs::path& folder, double timeout_seconds) : path_(folder / ".lock") {
    const Patience held(folder, path_, timeout_seconds);
    for (;;) {
        descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
        if (descriptor_ < 0) {
            const int code = errno;
            if (is_locked(path_)) {  // by another user
                held.wait();
                continue;
            }
            // Where no file can be made, writing into the folder will say why.
            std::error_code ignored;
            if (!fs::exists(fs::symlink_status(path_, ignored)) || ::access(folder.c_str(), W_OK) != 0)
                return;
            throw FileError(path_.string() + ": cannot be opened: " + std::generic_category().message(code) +
                            "; it keeps others out while a run is at work there: remove it if none is");
        }
        const LockOutcome outcome = lock_file(descriptor_);
        if (outcome == LockOutcome::taken && is_same_file(path_, descriptor_)) break;
        ::close(descriptor_);
        descriptor_ = -1;
        if (outcome == LockOutcome::not_supported) {
            fault_ = folder.string() +
                     ": files cannot be locked there: see to it that no second run is started in this folder";
            return;
        }
        if (outcome == LockOutcome::held_by_another) held.wait();
    }
    write_holder(descriptor_);
}

FolderLock::~FolderLock() {
    if (descriptor_ < 0) return;
    // While it is locked. If somebody has removed it by hand, another process may have one of that name by now.
    if (is_same_file(path_, descriptor_)) ::unlink(path_.c_str());
    ::close(descriptor_);
}

}  // namespace lockstep::launch
