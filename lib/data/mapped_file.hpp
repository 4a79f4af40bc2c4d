/// A whole file mapped into memory for reading: all processes of a node share the pages, and none is anonymous.
#pragma once

#include "fault_guard.hpp"
#include "watched_file.hpp"

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

namespace lockstep {

class MappedFile {
  public:
    /// Throws FileError if the file cannot be opened (see WatchedFile) or mapped.
    explicit MappedFile(const std::filesystem::path& path);

    const WatchedFile& file() const { return file_; }
    std::span<const std::byte> bytes() const { return {mapping_.get(), file_.size()}; }

    /// Throws FileError if the file was cut under what was read since it was opened. Costs two loads. A cut
    /// that leaves a part of the last page that was read is seen by verify() alone.
    void check_pages() const {
        if (guard_.was_cut()) fail_cut();
    }

    /// check_pages(), and the file is what it was when it was opened.
    void verify() const;

    /// Asks the kernel for these bytes ahead of their use.
    void prefetch(std::size_t offset, std::size_t count) const;

  private:
    struct Unmap {
        std::size_t size;
        void operator()(const std::byte* begin) const;
    };
    [[noreturn]] void fail_cut() const;

    WatchedFile file_;
    std::unique_ptr<const std::byte, Unmap> mapping_;
    FaultGuard guard_;  // after the mapping: it must end first
};

}  // namespace lockstep
