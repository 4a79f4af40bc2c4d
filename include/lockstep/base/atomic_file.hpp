/// A file that appears complete or not at all, whatever happens while it is written.
#pragma once

#include <lockstep/base/export.hpp>

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

namespace lockstep {

/// Writes beside its target, in the same folder, and takes the target's place on commit().
///
/// Until then the target is untouched: a reader, or a run that resumes after a crash, sees the old file or
/// the new one. Without a commit the destructor removes what was written.
///
/// A process that is killed leaves the file that it wrote, `.TARGET.….partial`; the next AtomicFile with that
/// target removes it. The writer holds a lock on its file (flock), which the kernel releases with the
/// process: a file of this host, since it was last started, is dead if its lock can be taken. The lock says
/// less of another host, since some file systems keep locks within one, and nothing if there are none: such
/// files are dead once nothing has been written to them for a day, by the file system's own clock. Process
/// numbers decide nothing: another host, a container, or the same host later may use them again.
class LOCKSTEP_EXPORT AtomicFile {
  public:
    /// Creates the temporary file, and removes those of the same target that belong to no living process.
    /// Throws FileError where the folder is missing or may not be written.
    explicit AtomicFile(std::filesystem::path target);
    ~AtomicFile();

    AtomicFile(const AtomicFile&) = delete;
    AtomicFile& operator=(const AtomicFile&) = delete;

    /// Appends all of `bytes`. Throws FileError where they cannot all be written, as on a full disk.
    void write(std::span<const std::byte> bytes);
    void write(std::string_view text) { write(std::as_bytes(std::span(text))); }

    /// Gives the file this size; what was not written is zero. Throws FileError.
    void resize(std::size_t bytes);

    /// What is written until commit(). Others may write into it, too, as long as this object lives.
    const std::filesystem::path& partial() const { return temporary_; }

    /// Forces the bytes to the disk and puts the file in the target's place; at most once, and last.
    /// Throws FileError, and then the old target still stands unless only its folder could not be flushed.
    void commit();

  private:
    void discard() noexcept;
    [[noreturn]] void fail(std::string_view action) const;

    std::filesystem::path target_;
    std::filesystem::path temporary_;
    int descriptor_ = -1;
    bool pending_ = false;  // the temporary exists and is ours to remove
};

/// Forces the names in a folder to the disk: without it a power cut may bring old ones back. Throws FileError.
LOCKSTEP_EXPORT void flush_folder(const std::filesystem::path& folder);

/// Removes what killed processes left of AtomicFiles in a folder, whatever their target: for the owner of a
/// folder. A folder that cannot be written keeps what it holds.
LOCKSTEP_EXPORT void remove_dead_partials(const std::filesystem::path& folder);

}  // namespace lockstep
