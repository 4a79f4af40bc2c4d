/// One process at a time works in a folder.
#pragma once

#include <filesystem>

namespace lockstep::launch {

/// Keeps other processes out of a folder that must exist, until it goes or its process ends, however that ends: the
/// kernel's lock on the file `.lock` in there, which says who holds it. Such locks work between hosts on file systems
/// that have them (NFS, Lustre with -o flock, GPFS); where there are none, or the folder cannot be written, nobody is
/// kept out.
class FolderLock {
  public:
    /// Waits a moment for a process that is about to end. Throws UsageError, naming the process, if one remains.
    explicit FolderLock(const std::filesystem::path& folder);
    ~FolderLock();
    FolderLock(const FolderLock&) = delete;
    FolderLock& operator=(const FolderLock&) = delete;

  private:
    std::filesystem::path path_;
    int descriptor_ = -1;
};

}  // namespace lockstep::launch
