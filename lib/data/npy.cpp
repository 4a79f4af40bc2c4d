#include "npy.hpp"

#include "mapped_array.hpp"
#include "npy_header.hpp"

namespace lockstep {

std::unique_ptr<Array> open_npy(const std::filesystem::path& path) {
    auto file = std::make_unique<MappedFile>(path);
    const ArrayLayout layout = read_npy_header(file->file());
    return std::make_unique<MappedArray>(path.string(), std::move(file), layout);
}

}  // namespace lockstep
