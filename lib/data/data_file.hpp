/// Reading a data file that may be gzip-compressed, without trusting what it says about its size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct gzFile_s;

namespace lockstep {

/// The first file that is there among the names, each as it is and with ".gz" appended, in the first folder
/// that has one. Throws FileError, which lists all that was tried, if there is none, or if what has the name
/// is no file.
std::filesystem::path find_data_file(const std::vector<std::filesystem::path>& folders,
                                     const std::vector<std::string>& names);
/// Whether there is one.
bool has_data_file(const std::filesystem::path& folder, const std::vector<std::string>& names);

/// A file open for reading from front to back. Every function throws FileError, which names the file.
class DataFile {
  public:
    /// Compressed or not, whatever its name says.
    explicit DataFile(std::filesystem::path path);

    const std::filesystem::path& path() const { return path_; }

    /// Reads up to `count` bytes and returns how many there were; fewer only at the end of the file.
    std::size_t read(std::uint8_t* bytes, std::size_t count);

    /// Reads exactly `count` bytes. `what` says in the error what they are: "the 80 bytes of 10 labels".
    /// Memory grows with what has been read, so that a header that lies about the size cannot exhaust it.
    std::vector<std::uint8_t> read_exactly(std::size_t count, std::string_view what);

    /// Checks that nothing follows (which also makes zlib compare the checksum).
    void expect_end();

    /// The error that starts with this file's path.
    [[noreturn]] void fail(const std::string& what) const;

  private:
    struct Close {
        void operator()(gzFile_s* file) const;
    };

    std::filesystem::path path_;
    std::unique_ptr<gzFile_s, Close> file_;
};

}  // namespace lockstep
