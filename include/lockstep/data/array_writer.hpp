/// Writing arrays: files that appear complete or not at all, also if several processes share the work.
#pragma once

#include <lockstep/base/atomic_file.hpp>
#include <lockstep/base/export.hpp>
#include <lockstep/base/shape.hpp>
#include <lockstep/data/array.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace lockstep {

/// An .npy file in the making, of known extents. One process owns it; every process that has rows to write,
/// the owner included, opens it with NpyRows by the name that partial() tells:
///
///     rank 0:      NpyWriter file("predictions.npy", ElementType::f32, {samples, classes});
///     all ranks:   broadcast(file.partial()); NpyRows rows(partial); rows.write(first, values); rows.flush();
///     a barrier
///     rank 0:      file.commit();
///
/// Without commit() nothing stays behind, and the old file, if there was one, is untouched.
class LOCKSTEP_EXPORT NpyWriter {
  public:
    /// Creates the file with its final size, all values zero. `element` must be f32, f64 or i64.
    /// Throws UsageError for another one, for no extents, or one that an array cannot have, and FileError if the
    /// file cannot be made.
    NpyWriter(std::filesystem::path target, ElementType element, const std::vector<Index>& extents);

    /// Where the rows go until commit(); in the folder of the target.
    const std::filesystem::path& partial() const { return file_.partial(); }

    /// Puts the file in the target's place. Every NpyRows must have been flushed.
    void commit() { file_.commit(); }

  private:
    AtomicFile file_;
};

/// Rows of an NpyWriter's file, from any process that sees its folder.
class LOCKSTEP_EXPORT NpyRows {
  public:
    /// Throws FileError if `partial` is not what an NpyWriter made.
    explicit NpyRows(const std::filesystem::path& partial);
    ~NpyRows();
    NpyRows(const NpyRows&) = delete;
    NpyRows& operator=(const NpyRows&) = delete;

    /// Writes whole rows from row `first` on. Throws UsageError if the type is not the file's, if the values
    /// are no whole number of rows or reach beyond the last, and FileError if they cannot be written.
    void write(Index first, std::span<const float> values);
    void write(Index first, std::span<const double> values);
    void write(Index first, std::span<const std::int64_t> values);

    /// Forces the rows to the disk, and throws FileError if they did not get there; to be called before the
    /// owner commits.
    void flush();

  private:
    void write_bytes(Index first, ElementType element, std::size_t count, std::span<const std::byte> bytes);

    struct File;
    std::unique_ptr<File> file_;
};

/// One data set in a new HDF5 file, written in order by one process.
class LOCKSTEP_EXPORT Hdf5Writer {
  public:
    /// `dataset` is a path such as "/predictions"; groups in it are made. `element` must be f32, f64 or i64.
    /// Throws UsageError as NpyWriter does, and FileError if the file cannot be made, or this build has no
    /// HDF5.
    Hdf5Writer(const std::filesystem::path& target, const std::string& dataset, ElementType element,
               const std::vector<Index>& extents);
    ~Hdf5Writer();
    Hdf5Writer(const Hdf5Writer&) = delete;
    Hdf5Writer& operator=(const Hdf5Writer&) = delete;

    /// Appends whole rows; throws as NpyRows::write does.
    void append(std::span<const float> values);
    void append(std::span<const double> values);
    void append(std::span<const std::int64_t> values);

    /// Puts the file in the target's place. Throws UsageError if rows are missing.
    void commit();

  private:
    struct File;
    std::unique_ptr<File> file_;
};

}  // namespace lockstep
