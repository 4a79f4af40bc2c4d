/// An array whose values lie in a file as they are, with nothing but a header before them.
#pragma once

#include "mapped_file.hpp"
#include "stored_values.hpp"

#include <lockstep/data/array.hpp>

#include <memory>
#include <string>
#include <vector>

namespace lockstep {

/// Where the values of an array lie in its file.
struct ArrayLayout {
    ElementType element = ElementType::f32;
    std::vector<Index> extents;
    bool big_endian = false;
    bool fortran_order = false;  ///< the first index fastest, instead of the last
    Index data_offset = 0;       ///< of the first value, in bytes
};

class MappedArray final : public Array {
  public:
    /// Throws FileError if the extents make no array, or the values do not lie within the file.
    MappedArray(std::string name, std::unique_ptr<MappedFile> file, const ArrayLayout& layout);

    void read_row(Index row, float* out) const override { read(row, to_float_, out); }
    void read_row(Index row, double* out) const override { read(row, to_double_, out); }
    /// Nothing in Fortran order, in which every row is spread over the whole file.
    void prefetch(Index first_row, Index count) const override;
    void verify() const override { file_->verify(); }

  private:
    template <class T>
    void read(Index row, ConvertValues<T> convert, T* out) const {
        check_row(row);
        const Index* const offsets = offsets_.empty() ? nullptr : offsets_.data();
        convert(values_ + row * row_step_, offsets, row_size(), out);
        file_->check_pages();
    }

    std::unique_ptr<MappedFile> file_;
    const std::byte* values_ = nullptr;
    Index row_step_ = 0;          // bytes from one row to the next
    std::vector<Index> offsets_;  // Fortran order: of a row's values, in bytes from its first
    ConvertValues<float> to_float_;
    ConvertValues<double> to_double_;
};

}  // namespace lockstep
