#include "data_file.hpp"

#include <lockstep/base/error.hpp>

#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace lockstep {
namespace {

constexpr std::size_t chunk_bytes = std::size_t{1} << 20;

/// The first of directory/name and directory/name.gz that is there, and is a file.
std::filesystem::path find(const std::filesystem::path& directory, const std::string& name) {
    for (const std::filesystem::path& candidate : {directory / name, directory / (name + ".gz")}) {
        std::error_code error;
        const std::filesystem::file_status status = std::filesystem::status(candidate, error);
        if (status.type() == std::filesystem::file_type::not_found) continue;
        if (status.type() == std::filesystem::file_type::none)
            throw FileError(candidate.string() + ": cannot be looked at: " + error.message());
        if (!std::filesystem::is_regular_file(status))
            throw FileError(candidate.string() + ": not a file" +
                            (std::filesystem::is_directory(status) ? " but a directory" : "") +
                            "; a data file was expected here");
        return candidate;
    }
    throw FileError((directory / name).string() + ": there is no such file, nor " + name +
                    ".gz beside it; check the data directory");
}

}  // namespace

void DataFile::Close::operator()(gzFile_s* file) const {
    gzclose(file);
}

DataFile::DataFile(const std::filesystem::path& directory, const std::string& name)
    : path_(find(directory, name)) {
    errno = 0;
    file_.reset(gzopen(path_.c_str(), "rb"));
    if (!file_) fail(std::string("cannot be opened: ") + std::strerror(errno != 0 ? errno : ENOMEM));
    gzbuffer(file_.get(), 1u << 17);
}

std::size_t DataFile::read(std::uint8_t* bytes, std::size_t count) {
    std::size_t done = 0;
    while (done < count) {
        const auto piece = static_cast<unsigned>(std::min(count - done, chunk_bytes));
        const int got = gzread(file_.get(), bytes + done, piece);
        // A stream that breaks off yields its bytes first and tells only through gzerror that more should
        // have come.
        int code = Z_OK;
        const char* message = gzerror(file_.get(), &code);
        if (got < 0 || code == Z_BUF_ERROR)
            fail(code == Z_ERRNO ? std::string("cannot be read: ") + std::strerror(errno)
                                 : std::string("the compressed data are damaged or cut off: ") + message +
                                       "; fetch the file again");
        if (got == 0) break;
        done += static_cast<std::size_t>(got);
    }
    return done;
}

std::vector<std::uint8_t> DataFile::read_exactly(std::size_t count, std::string_view what) {
    std::vector<std::uint8_t> bytes;
    while (bytes.size() < count) {
        const std::size_t before = bytes.size();
        const std::size_t piece = std::min(count - before, std::max(before, chunk_bytes));  // at most doubles
        bytes.resize(before + piece);
        const std::size_t got = read(bytes.data() + before, piece);
        if (got < piece)
            fail("truncated: it ends after " + std::to_string(before + got) + " of " + std::string(what));
    }
    return bytes;
}

void DataFile::expect_end() {
    std::uint8_t byte = 0;
    if (read(&byte, 1) != 0) fail("more bytes follow than its header announces; the file is damaged");
}

void DataFile::fail(const std::string& what) const {
    throw FileError(path_.string() + ": " + what);
}

}  // namespace lockstep
