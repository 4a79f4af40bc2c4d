/// What MPI libraries leave in /dev/shm if their processes are killed.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace lockstep::launch {

/// The segments of MPI in that folder that belong to this user, and that no process maps or has open as far as this
/// one may see. Young ones are left out: somebody may be about to map them.
std::vector<std::string> stale_segments(const std::filesystem::path& folder);

}  // namespace lockstep::launch
