#include "shared_segments.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <fstream>
#include <set>
#include <string_view>
#include <system_error>

namespace lockstep::launch {
namespace {

namespace fs = std::filesystem;

/// Of Open MPI 4 and 5, PMIx, MPICH, Intel MPI, UCX, PSM2, MVAPICH.
constexpr std::array<std::string_view, 10> prefixes{
    "vader_segment.", "sm_segment.",    "osc_rdma.", "pmix-",    "mpich_shar_tmp",
    "Intel_MPI_",     "ucx_shm_posix_", "psm2_shm",  "psm_shm.", "mv2_"};
constexpr std::time_t young_seconds = 60;

bool is_old_and_ours(const fs::path& path) {
    struct stat status {};
    return ::lstat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == ::getuid() &&
           std::time(nullptr) - status.st_mtime > young_seconds;
}

/// Takes off what a process maps or has open.
void erase_used(const fs::path& process, const fs::path& folder, std::set<std::string>& names) {
    const auto used = [&](const fs::path& path) {
        if (path.parent_path() == folder) names.erase(path.filename());
    };
    std::ifstream maps(process / "maps");
    for (std::string line; std::getline(maps, line);)
        if (const std::size_t slash = line.find('/'); slash != std::string::npos) used(line.substr(slash));
    std::error_code error;
    fs::directory_iterator entry(process / "fd", error);
    for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
        std::error_code gone;
        used(fs::read_symlink(entry->path(), gone));
    }
}

}  // namespace

std::vector<std::string> stale_segments(const fs::path& folder) {
    std::set<std::string> names;
    std::error_code error;
    for (fs::directory_iterator entry(folder, error); !error && entry != fs::directory_iterator();
         entry.increment(error)) {
        const std::string name = entry->path().filename();
        const bool segment =
            std::ranges::any_of(prefixes, [&](std::string_view prefix) { return name.starts_with(prefix); });
        if (segment && is_old_and_ours(entry->path())) names.insert(name);
    }
    error.clear();
    for (fs::directory_iterator entry("/proc", error);
         !names.empty() && !error && entry != fs::directory_iterator(); entry.increment(error)) {
        const std::string name = entry->path().filename();
        if (name.find_first_not_of("0123456789") == std::string::npos)
            erase_used(entry->path(), folder, names);
    }
    return {names.begin(), names.end()};
}

}  // namespace lockstep::launch
