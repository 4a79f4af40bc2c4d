/// The files beside a target that an AtomicFile writes into: their names, their locks, and which are dead.
///
/// A name is `.TARGET.KERNEL-PROCESS-NUMBER.partial`; KERNEL is the start of the boot id, which no two hosts
/// share, nor one host before and after it is started again. The writer holds a lock (flock) on the file,
/// which the kernel releases with the process, however that ends.
#pragma once

#include <filesystem>
#include <string>

namespace lockstep {

/// A new partial file, open for writing and locked if the file system has locks.
struct PartialFile {
    std::filesystem::path path;
    int descriptor = -1;  ///< -1: it could not be made, errno says why
};

/// The caller owns the descriptor and the file.
PartialFile make_partial_file(const std::filesystem::path& folder, const std::string& target);

/// Removes the dead partial files of `target` in `folder`, of all targets if it is empty. `descriptor` is an
/// open file in the same folder that was written to just now: the clock that ages are taken by.
void remove_dead_partials(const std::filesystem::path& folder, const std::string& target,
                          int descriptor) noexcept;

}  // namespace lockstep
