/// Arrays in files: N rows of values of one type, read in place, row by row.
///
///     const auto images = open_array("train.npy");          // or "weather.h5:/x"
///     std::vector<float> row(images->row_size());
///     images->read_row(7, row.data());
///
/// A row is what the first index chooses: of an 8000×28×28 array, 28×28 values. Memory does not grow with N.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/base/shape.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

/// What a file holds. `boolean` is one byte, read as 0 or 1.
enum class ElementType { u8, i8, u16, i16, u32, i32, u64, i64, f32, f64, boolean };

/// NumPy's name: "uint8", "float32", "bool".
LOCKSTEP_EXPORT std::string_view to_string(ElementType element);
/// Bytes of one element.
LOCKSTEP_EXPORT Index size_of(ElementType element);

/// "8000x28x28".
LOCKSTEP_EXPORT std::string extents_to_string(const std::vector<Index>& extents);

/// N rows of values. Every function but the destructor may be called by several threads at once.
class LOCKSTEP_EXPORT Array {
  public:
    virtual ~Array() = default;
    Array(const Array&) = delete;
    Array& operator=(const Array&) = delete;

    /// What it was opened as, for messages.
    const std::string& name() const { return name_; }
    ElementType element() const { return element_; }
    /// At least one; the first is the number of rows. Each is at least 1.
    const std::vector<Index>& extents() const { return extents_; }
    Index rows() const { return extents_.front(); }
    /// Values of one row.
    Index row_size() const { return row_size_; }
    /// Whether every value that the type can hold is a float as well.
    bool exact_in_float() const;
    /// "train.npy: 8000x12 of float32".
    std::string describe() const;

    /// Writes the row_size() values of a row to `out` with the last index fastest, whatever the file's order;
    /// each is rounded to nearest if the type of `out` does not hold it.
    /// Throws UsageError for a row outside [0, rows()), and FileError if the file cannot be read, as when it
    /// was cut meanwhile.
    virtual void read_row(Index row, float* out) const = 0;
    virtual void read_row(Index row, double* out) const = 0;

    /// Says that these rows are wanted soon; never fails. For rows that are read in order, block by block of a
    /// few MB: of a mapped file that is not in memory yet, each page would otherwise be fetched on its own.
    virtual void prefetch(Index first_row, Index count) const;

    /// Throws FileError if the file's size or time of last change is not what it was when it was opened.
    /// For the reader to call after a batch: what was read between a change and this call may be wrong.
    virtual void verify() const = 0;

  protected:
    /// Throws FileError, which begins with `name`, if there is no extent, one is below 1, or the size of the
    /// whole in bytes is more than Index can hold.
    Array(std::string name, ElementType element, std::vector<Index> extents);

    /// Throws UsageError if there is no such row.
    void check_row(Index row) const;

  private:
    std::string name_;
    ElementType element_;
    std::vector<Index> extents_;
    Index row_size_ = 1;
};

/// Opens `x.npy` or `x.h5:/group/dataset`; a file's contents decide what it is, not its name.
/// Throws FileError, which says what the file is, what was expected and how to get there, if it is neither:
/// missing, empty, a folder, of another format, or with elements that are not real numbers. A data set that
/// does not exist in an HDF5 file gets a list of those that do.
///
/// .npy files and contiguous data sets of HDF5 are mapped: the processes of a node share their pages, and no
/// memory of the process's own is used. Chunked and compressed data sets are read row by row through HDF5,
/// which keeps up to 64 MB of decompressed chunks, more if those of one row need more.
///
/// The first file that is mapped installs a handler for SIGBUS, for the whole process, which makes an error of
/// a file that is cut while it is read. Signals of other causes go to the handler that was there before.
LOCKSTEP_EXPORT std::unique_ptr<Array> open_array(const std::string& text);

/// Whether this build reads and writes HDF5.
LOCKSTEP_EXPORT bool has_hdf5();

}  // namespace lockstep
