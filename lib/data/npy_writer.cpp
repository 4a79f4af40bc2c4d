#include "npy_header.hpp"
#include "written_rows.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/data/array_writer.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace lockstep {
namespace {

std::filesystem::path checked(std::filesystem::path target, ElementType element,
                              const std::vector<Index>& extents) {
    check_written_array(target.string(), element, extents);
    return target;
}

}  // namespace

NpyWriter::NpyWriter(std::filesystem::path target, ElementType element, const std::vector<Index>& extents)
    : file_(checked(std::move(target), element, extents)) {
    Index bytes = size_of(element);
    for (const Index extent : extents) bytes *= extent;
    const std::string header = npy_header(element, extents);
    file_.write(header);
    file_.resize(header.size() + static_cast<std::size_t>(bytes));
}

struct NpyRows::File {
    std::filesystem::path path;
    int descriptor;
    WrittenRows rows;
    Index data_offset;

    [[noreturn]] void fail(const std::string& action) const {
        throw FileError(action + " " + path.string() + ": " + std::strerror(errno) +
                        "; check the disk, its free space and the folder's permissions");
    }
};

NpyRows::NpyRows(const std::filesystem::path& partial) {
    const ArrayLayout layout = read_npy_header(WatchedFile(partial));
    check_written_array(partial.string(), layout.element, layout.extents);
    const int descriptor = ::open(partial.c_str(), O_WRONLY | O_CLOEXEC);
    file_ = std::make_unique<File>(
        File{partial, descriptor, {partial.string(), layout.element, layout.extents}, layout.data_offset});
    if (descriptor < 0) file_->fail("cannot write into");
}

NpyRows::~NpyRows() {
    ::close(file_->descriptor);
}

void NpyRows::write(Index first, std::span<const float> values) {
    write_bytes(first, element_of<float>, values.size(), std::as_bytes(values));
}

void NpyRows::write(Index first, std::span<const double> values) {
    write_bytes(first, element_of<double>, values.size(), std::as_bytes(values));
}

void NpyRows::write(Index first, std::span<const std::int64_t> values) {
    write_bytes(first, element_of<std::int64_t>, values.size(), std::as_bytes(values));
}

void NpyRows::flush() {
    if (::fsync(file_->descriptor) != 0) file_->fail("cannot flush");
}

void NpyRows::write_bytes(Index first, ElementType element, std::size_t count,
                          std::span<const std::byte> bytes) {
    const WrittenRows& rows = file_->rows;
    rows.check(first, element, count);
    auto offset = static_cast<off_t>(file_->data_offset + first * rows.row_size * size_of(element));
    while (!bytes.empty()) {
        const ssize_t written = ::pwrite(file_->descriptor, bytes.data(), bytes.size(), offset);
        if (written < 0 && errno == EINTR) continue;
        if (written == 0) errno = ENOSPC;  // no progress and no reason given: never loop for ever
        if (written <= 0) file_->fail("cannot write into");
        bytes = bytes.subspan(static_cast<std::size_t>(written));
        offset += written;
    }
}

}  // namespace lockstep
