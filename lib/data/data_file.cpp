#include "data_file.hpp"

#include <lockstep/base/error.hpp>

#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <system_error>
#include <utility>

namespace lockstep {
namespace {

constexpr std::size_t chunk_bytes = std::size_t{1} << 20;

/// directory/name if it is there, and is a file.
std::optional<std::filesystem::path> look_at(const std::filesystem::path& directory,
                                             const std::string& name) {
    const std::filesystem::path candidate = directory / name;
    std::error_code error;
    const std::filesystem::file_status status = std::filesystem::status(candidate, error);
    if (status.type() == std::filesystem::file_type::not_found) return std::nullopt;
    if (status.type() == std::filesystem::file_type::none)
        throw FileError(candidate.string() + ": cannot be looked at: " + error.message());
    if (!std::filesystem::is_regular_file(status))
        throw FileError(candidate.string() + ": not a file" +
                        (std::filesystem::is_directory(status) ? " but a directory" : "") +
                        "; a data file was expected here");
    return candidate;
}

std::vector<std::string> with_compressed(const std::vector<std::string>& names) {
    std::vector<std::string> all;
    for (const std::string& name : names) {
        all.push_back(name);
        all.push_back(name + ".gz");
    }
    return all;
}

std::string joined(const std::vector<std::string>& texts) {
    std::string all;
    for (const std::string& text : texts) all += (all.empty() ? "" : ", ") + text;
    return all;
}

}  // namespace

std::filesystem::path find_data_file(const std::vector<std::filesystem::path>& folders,
                                     const std::vector<std::string>& names) {
    const std::vector<std::string> all = with_compressed(names);
    for (const std::filesystem::path& folder : folders)
        for (const std::string& name : all)
            if (const auto found = look_at(folder, name)) return *found;
    std::vector<std::string> places;
    places.reserve(folders.size());
    for (const std::filesystem::path& folder : folders) places.push_back(folder.string());
    throw FileError((folders.front() / names.front()).string() + ": there is no such file; tried were " +
                    joined(all) + " in " + joined(places) + "; check the data directory");
}

bool has_data_file(const std::filesystem::path& folder, const std::vector<std::string>& names) {
    return std::ranges::any_of(with_compressed(names), [&](const std::string& name) {
        std::error_code ignored;  // what cannot be looked at is reported when it is opened
        return std::filesystem::exists(folder / name, ignored);
    });
}

void DataFile::Close::operator()(gzFile_s* file) const {
    gzclose(file);
}

DataFile::DataFile(std::filesystem::path path) : path_(std::move(path)) {
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
