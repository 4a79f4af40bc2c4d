#include "mapped_array.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace lockstep {
namespace {

/// Of the values of row 0, in C order, in a file in Fortran order; in bytes.
std::vector<Index> fortran_offsets(const std::vector<Index>& extents, Index element_size) {
    std::vector<Index> offsets = {0};
    Index step = element_size;
    for (std::size_t dimension = 0; dimension < extents.size(); ++dimension) {
        if (dimension > 0) {
            std::vector<Index> longer;
            longer.reserve(offsets.size() * static_cast<std::size_t>(extents[dimension]));
            for (const Index offset : offsets)
                for (Index i = 0; i < extents[dimension]; ++i) longer.push_back(offset + i * step);
            offsets = std::move(longer);
        }
        step *= extents[dimension];
    }
    return offsets;
}

}  // namespace

MappedArray::MappedArray(std::string name, std::unique_ptr<MappedFile> file, const ArrayLayout& layout)
    : Array(std::move(name), layout.element, layout.extents), file_(std::move(file)) {
    const Index size = size_of(element());
    const bool fortran = layout.fortran_order && extents().size() > 1;
    const auto file_size = static_cast<Index>(file_->bytes().size());
    if (layout.data_offset > file_size || rows() * row_size() * size > file_size - layout.data_offset)
        file_->file().fail("its values reach beyond its end; it is damaged");
    values_ = file_->bytes().data() + layout.data_offset;
    row_step_ = fortran ? size : row_size() * size;
    if (fortran) offsets_ = fortran_offsets(extents(), size);
    const bool swapped = layout.big_endian != (std::endian::native == std::endian::big);
    to_float_ = value_converter<float>(element(), swapped);
    to_double_ = value_converter<double>(element(), swapped);
}

void MappedArray::prefetch(Index first_row, Index count) const {
    if (!offsets_.empty()) return;
    const Index first = std::clamp(first_row, Index{0}, rows());
    const Index last = first + std::clamp(count, Index{0}, rows() - first);
    if (first == last) return;
    const auto begin = static_cast<std::size_t>(values_ - file_->bytes().data() + first * row_step_);
    file_->prefetch(begin, static_cast<std::size_t>((last - first) * row_step_));
}

}  // namespace lockstep
