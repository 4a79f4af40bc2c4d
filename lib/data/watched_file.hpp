/// A file open for reading that notices when it is changed.
#pragma once

#include <cstddef>
#include <ctime>
#include <filesystem>
#include <span>
#include <string>

namespace lockstep {

class WatchedFile {
  public:
    /// Throws FileError if it is missing, a folder, empty, or may not be read.
    explicit WatchedFile(std::filesystem::path path);
    ~WatchedFile();
    WatchedFile(const WatchedFile&) = delete;
    WatchedFile& operator=(const WatchedFile&) = delete;

    const std::filesystem::path& path() const { return path_; }
    int descriptor() const { return descriptor_; }
    /// Bytes when it was opened.
    std::size_t size() const { return size_; }

    /// Up to `bytes.size()` bytes from `offset`; returns how many there were.
    std::size_t read(std::size_t offset, std::span<std::byte> bytes) const;

    /// Throws FileError if the file has another size, or another time of last change, than when it was opened.
    void verify() const;

    /// The error that starts with this file's path.
    [[noreturn]] void fail(const std::string& what) const;

  private:
    std::filesystem::path path_;
    int descriptor_ = -1;
    std::size_t size_ = 0;
    timespec changed_{};
};

}  // namespace lockstep
