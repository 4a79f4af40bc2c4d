/// One process at a time works in a folder.
#pragma once

#include <filesystem>
#include <string>

namespace lockstep::launch {

enum class LockOutcome { taken, held_by_another, not_supported };

/// Locks an open file, writable, against other processes, on any host, until it is closed; does not wait.
LockOutcome lock_file(int descriptor);
/// Whether another process, or this one through another descriptor, has the file locked. False if it cannot be read.
bool is_locked(const std::filesystem::path& path);

/// Keeps other processes out of a folder that must exist, until it goes or its process ends, however that ends: the
/// kernel's lock on the file `.lock` in there, which says who holds it. Such locks work between hosts on file systems
/// that have them (NFS, Lustre with -o flock, GPFS); where there are none, or the folder cannot be written, nobody is
/// kept out.
class FolderLock {
  public:
    /// Waits a moment for a process that is about to end; for one of another host, which may be gone without the file
    /// server knowing, as long as that takes to find out; but no longer than half of the time-out after which other ranks
    /// would give this one up; or until a signal asks to stop (stop_signals.hpp). Throws UsageError, naming the process,
    /// if one remains, FileError if what is called `.lock` cannot be opened in a folder that can be written.
    FolderLock(const std::filesystem::path& folder, double timeout_seconds);
    ~FolderLock();
    FolderLock(const FolderLock&) = delete;
    FolderLock& operator=(const FolderLock&) = delete;

    /// Why nobody is kept out, and what to do about it; empty if others are.
    const std::string& fault() const { return fault_; }

  private:
    std::filesystem::path path_;
    int descriptor_ = -1;
    std::string fault_;
};

}  // namespace lockstep::launch
