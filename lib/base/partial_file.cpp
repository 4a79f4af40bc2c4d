#include "partial_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <fstream>
#include <string_view>
#include <system_error>
#include <vector>

namespace lockstep {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view suffix = ".partial";
constexpr std::size_t kernel_digits = 8;
constexpr const char* unknown_kernel = "unknown0";
/// After so long without a write a file that belongs to another host, or cannot be locked, is dead.
constexpr time_t patience_seconds = 24 * 60 * 60;

bool is_hexadecimal(std::string_view text) {
    return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

/// The running kernel, by the first digits of its boot id.
std::string kernel_name() {
    std::string id;
    std::ifstream("/proc/sys/kernel/random/boot_id") >> id;
    id = id.substr(0, kernel_digits);
    return id.size() == kernel_digits && is_hexadecimal(id) ? id : unknown_kernel;
}

/// ".TARGET.KERNEL-PROCESS-NUMBER.partial", taken apart; an empty target if it is no such name.
struct PartialName {
    std::string_view target;
    std::string_view kernel;
};

bool is_number(std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

PartialName parse_name(std::string_view name) {
    if (!name.starts_with('.') || !name.ends_with(suffix)) return {};
    name = name.substr(1, name.size() - 1 - suffix.size());
    const std::size_t dot = name.rfind('.');
    if (dot == std::string_view::npos || dot == 0) return {};
    const std::string_view writer = name.substr(dot + 1);
    const std::size_t first = writer.find('-'), second = writer.rfind('-');
    if (first != kernel_digits || second == first || second == std::string_view::npos) return {};
    if (!is_number(writer.substr(first + 1, second - first - 1)) || !is_number(writer.substr(second + 1)))
        return {};
    return {name.substr(0, dot), writer.substr(0, first)};
}

/// Whether `path` still names the open file.
bool is_same_file(const fs::path& path, int descriptor) {
    struct stat named {
    }, open{};
    return ::lstat(path.c_str(), &named) == 0 && ::fstat(descriptor, &open) == 0 &&
           named.st_dev == open.st_dev && named.st_ino == open.st_ino;
}

enum class Lock { taken, held_by_another, not_supported };

Lock try_lock(int descriptor) {
    if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) return Lock::taken;
    return errno == EWOULDBLOCK ? Lock::held_by_another : Lock::not_supported;
}

time_t last_write(int descriptor) {
    struct stat status {};
    return ::fstat(descriptor, &status) == 0 ? status.st_mtime : 0;
}

void remove_if_dead(const fs::path& path, bool same_kernel, time_t now) {
    // Never follows a link, never waits for the other end of a pipe.
    const int descriptor = ::open(path.c_str(), O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0) return;
    const Lock lock = try_lock(descriptor);
    // Some file systems keep locks within one host, so one that can be taken proves something only there.
    const bool proven = lock == Lock::taken && same_kernel;
    const bool old = now - last_write(descriptor) > patience_seconds;
    // The owner renames its file only while it holds the lock: a name that is the file's now remains so.
    if (lock != Lock::held_by_another && (proven || old) && is_same_file(path, descriptor))
        ::unlink(path.c_str());
    ::close(descriptor);
}

}  // namespace

PartialFile make_partial_file(const fs::path& folder, const std::string& target) {
    // O_EXCL alone makes the name ours, also against other hosts on a shared disk. mkstemp would do as well,
    // but for the permissions: it ignores the umask, and the file could be read by its owner only.
    constexpr int attempts = 1000;
    const std::string stem = "." + target + "." + kernel_name() + "-" + std::to_string(::getpid()) + "-";
    PartialFile file;
    for (int attempt = 0; attempt < attempts; ++attempt) {
        file.path = folder / (stem + std::to_string(attempt) + std::string(suffix));
        file.descriptor = ::open(file.path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (file.descriptor < 0 && errno == EEXIST) continue;
        if (file.descriptor < 0) return file;
        // Between these two calls another process may have taken the file for a dead one's.
        if (try_lock(file.descriptor) != Lock::held_by_another && is_same_file(file.path, file.descriptor))
            return file;
        ::close(file.descriptor);
        file.descriptor = -1;
        errno = EEXIST;
    }
    return file;
}

void remove_dead_partials(const fs::path& folder, const std::string& target, int descriptor) noexcept {
    try {
        const std::string kernel = kernel_name();
        const time_t now = last_write(descriptor);
        std::vector<std::pair<fs::path, bool>> found;
        for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
            const std::string file = entry.path().filename().string();
            const PartialName name = parse_name(file);
            if (name.target.empty() || (!target.empty() && name.target != target)) continue;
            found.emplace_back(entry.path(), name.kernel == kernel && kernel != unknown_kernel);
        }
        for (const auto& [path, same_kernel] : found) remove_if_dead(path, same_kernel, now);
    } catch (const std::exception&) {
        // A folder that cannot be listed keeps what it holds: a file too many does no harm.
        return;
    }
}

}  // namespace lockstep
