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
class LOCKSTEP_EXPORT AtomicFile {
  public:
    /// Creates the temporary file. Throws FileError where the folder is missing or may not be written.
    explicit AtomicFile(std::filesystem::path target);
    ~AtomicFile();

    AtomicFile(const AtomicFile&) = delete;
    AtomicFile& operator=(const AtomicFile&) = delete;

    /// Appends all of `bytes`. Throws FileError where they cannot all be written, as on a full disk.
    void write(std::span<const std::byte> bytes);
    void write(std::string_view text) { write(std::as_bytes(std::span(text))); }

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

}  // namespace lockstep
