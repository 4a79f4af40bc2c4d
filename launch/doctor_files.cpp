/// The output folder as the hosts see it.
#include "doctor.hpp"
#include "folder_lock.hpp"
#include "shared_segments.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <optional>
#include <system_error>
#include <thread>

namespace lockstep::launch {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

/// A file that rank 0 makes for the others to see; it goes with this object.
class Mark {
  public:
    explicit Mark(const fs::path& folder)
        : path_(folder / (".lockstep-doctor-" + std::to_string(::getpid()))),
          descriptor_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666)) {
        constexpr char text[] = "lockstep doctor looks whether all hosts see this\n";
        if (descriptor_ < 0 || ::write(descriptor_, text, sizeof text - 1) != sizeof text - 1 ||
            ::fsync(descriptor_) != 0)
            error_ = std::generic_category().message(errno);
        else
            static_cast<void>(lock_file(descriptor_));  // the others see whether that was of any use
    }
    ~Mark() {
        if (descriptor_ < 0) return;
        ::close(descriptor_);
        ::unlink(path_.c_str());
    }
    Mark(const Mark&) = delete;
    Mark& operator=(const Mark&) = delete;

    std::string name() const { return path_.filename().string(); }
    const std::string& error() const { return error_; }  ///< empty: it is there

  private:
    fs::path path_;
    int descriptor_;
    std::string error_;
};

/// The folder, or the one above it in which it would be made; or a file that is in the way.
fs::path nearest(fs::path folder) {
    std::error_code ignored;
    folder = fs::absolute(folder, ignored);
    while (!fs::exists(folder, ignored) && folder.has_relative_path()) folder = folder.parent_path();
    return folder;
}

/// Network file systems take a while to show what another host has made.
bool appears(const fs::path& path) {
    std::error_code ignored;
    for (int attempt = 0; attempt < 30; ++attempt) {
        if (fs::exists(path, ignored)) return true;
        std::this_thread::sleep_for(100ms);
    }
    return false;
}

/// Whether a file that its writer locks has lost it.
bool is_dead(const fs::path& path) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0) return false;
    const bool free = ::flock(descriptor, LOCK_SH | LOCK_NB) == 0;
    ::close(descriptor);
    return free;
}

Findings partial_files(const fs::path& folder) {
    std::vector<std::string> names;
    std::error_code ignored;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder, ignored)) {
        const std::string name = entry.path().filename();
        if (name.starts_with('.') && name.ends_with(".partial") && is_dead(entry.path()))
            names.push_back(name);
    }
    if (names.empty()) return {};
    return {
        {Verdict::note, "partial files",
         folder.string() + ": " + std::to_string(names.size()) + " that a killed process left, such as " +
             names.front(),
         "nothing: the next run in this folder clears them away, if they are of another host after a day"}};
}

Findings free_space(const fs::path& folder) {
    std::error_code error;
    const fs::space_info space = fs::space(folder, error);
    constexpr std::uintmax_t little = std::uintmax_t{256} << 20;
    if (error || space.available >= little) return {};
    return {{Verdict::warning, "disk",
             folder.string() + ": " + std::to_string(space.available >> 20) + " MiB are free",
             "make room: a checkpoint takes 2 to 3 times the model's size, and one more than "
             "--keep-checkpoints are there while it is "
             "written"}};
}

/// What ranks find that look for rank 0's file.
struct Sight {
    std::vector<int> missing;   ///< those that do not see it
    std::vector<int> unlocked;  ///< those that see it, but not that it is locked
};

Sight look_for(const Communicator& communicator, const fs::path& folder, const std::string& name) {
    // A path of one's own: the working directory may lie elsewhere on another host.
    const fs::path path = folder / name;
    const std::string mine = !appears(path) ? "missing" : is_locked(path) ? "locked" : "unlocked";
    Sight sight;
    const auto all = communicator.all_gather(mine, "who sees the output folder");
    for (std::size_t rank = 0; rank < all.size(); ++rank) {
        if (all[rank] == "missing") sight.missing.push_back(static_cast<int>(rank));
        if (all[rank] == "unlocked") sight.unlocked.push_back(static_cast<int>(rank));
    }
    return sight;
}

Findings examine_folder(const Communicator& communicator, const fs::path& output) {
    const fs::path folder = nearest(output);
    std::optional<Mark> mark;
    if (communicator.rank() == 0) mark.emplace(folder);
    const std::string word = communicator.all_gather(mark ? mark->error() + "\n" + mark->name() : "",
                                                     "a file in the output folder")[0];
    const std::size_t end = word.find('\n');
    const std::string error = word.substr(0, end), name = word.substr(end + 1);
    if (!error.empty())
        return {{Verdict::error, "output", folder.string() + ": cannot be written: " + error,
                 "name another folder with --output, or make room and see to its permissions"}};
    const auto [missing, unlocked] = look_for(communicator, folder, name);
    Findings found;
    if (missing.empty())
        found.push_back(
            {Verdict::ok, "output", folder.string() + ": can be written, and all ranks see it", ""});
    else
        found.push_back({Verdict::warning, "output",
                         folder.string() + ": " + rank_list(missing) +
                             (missing.size() == 1 ? " does" : " do") + " not see what rank 0 writes there",
                         "--resume and --init-from need a folder that all hosts share"});
    if (!unlocked.empty())
        found.push_back(
            {Verdict::warning, "locks",
             folder.string() + ": " + rank_list(unlocked) + (unlocked.size() == 1 ? " does" : " do") +
                 " not see that rank 0 has locked a file",
             "see to it that no second run is started in the same folder (Lustre: mount it with -o "
             "flock)"});
    if (communicator.rank() != 0) return found;
    for (const Findings& more : {free_space(folder), partial_files(folder)})
        found.insert(found.end(), more.begin(), more.end());
    return found;
}

/// The first rank of each host looks there.
Findings examine_segments(const Communicator& communicator, const std::vector<RankFacts>& ranks) {
    std::string mine;
    for (const auto& host : by_host(ranks))
        if (host.front().rank == communicator.rank())
            for (const std::string& name : stale_segments("/dev/shm")) mine += name + "\n";
    const auto all = communicator.all_gather(mine, "what MPI has left in /dev/shm");
    Findings found;
    for (const auto& host : by_host(ranks)) {
        const std::string& names = all[static_cast<std::size_t>(host.front().rank)];
        if (names.empty()) continue;
        found.push_back(
            {Verdict::warning, "/dev/shm",
             host.front().host + ": " + std::to_string(std::count(names.begin(), names.end(), '\n')) +
                 " segments of yours that no process uses, such as " + names.substr(0, names.find('\n')),
             "killed jobs left them, and they take memory: remove them"});
    }
    if (found.empty()) found.push_back({Verdict::ok, "/dev/shm", "no segments that killed jobs left", ""});
    return found;
}

}  // namespace

Findings examine_files(const Communicator& communicator, const std::vector<RankFacts>& ranks,
                       const fs::path& output) {
    Findings found = examine_folder(communicator, output);
    for (Finding& one : examine_segments(communicator, ranks)) found.push_back(std::move(one));
    return found;
}

}  // namespace lockstep::launch
