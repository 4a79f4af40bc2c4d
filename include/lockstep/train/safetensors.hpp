/// Reading and writing .safetensors files: named arrays behind a JSON header.
///
///     8 bytes     N, the length of the header, little-endian
///     N bytes     JSON: {"name": {"dtype": "F32", "shape": [out, in], "data_offsets": [begin, end]}, …,
///                        "__metadata__": {"key": "value", …}}
///     the rest    the arrays, row-major and little-endian; offsets count from here, without gaps
///
/// The format is that of https://github.com/huggingface/safetensors, so PyTorch's users can load what is
/// written. What Lockstep writes has checksums of every tensor and of the header in its metadata, which are
/// checked when it is read; files of other programs do without.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/base/shape.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace lockstep {

/// What one value of a stored array is. Written are F32, F64 and I64; read are all of them.
enum class DataType {
    float16,
    bfloat16,
    float32,
    float64,
    int8,
    uint8,
    int16,
    uint16,
    int32,
    uint32,
    int64,
    uint64
};

/// As the file calls it: "F16", "BF16", "F32", "F64", "I8", "U8" … "I64", "U64".
LOCKSTEP_EXPORT std::string_view to_string(DataType type);
/// Bytes of one value.
LOCKSTEP_EXPORT std::size_t size_of(DataType type);

/// "[300, 784]"; "[]" for a single number.
LOCKSTEP_EXPORT std::string shape_to_string(std::span<const Index> shape);

/// One array of a file. The bytes belong to the SafetensorsFile and are not aligned.
struct TensorEntry {
    std::string name;
    DataType type = DataType::float32;
    std::vector<Index> shape;  ///< row-major; empty for a single number
    std::span<const std::byte> bytes;
};

/// A file in memory, checked as a whole when it is read: what at() returns always fits the data.
class LOCKSTEP_EXPORT SafetensorsFile {
  public:
    // The entries point into the content, which moves along but would not be found by a copy.
    SafetensorsFile(SafetensorsFile&&) = default;
    SafetensorsFile& operator=(SafetensorsFile&&) = default;

    /// Throws FileError, naming the file, the tensor and the fault, where the file is missing, truncated or
    /// lies.
    static SafetensorsFile read(const std::filesystem::path& path);

    bool contains(std::string_view name) const;
    /// Throws FileError listing what is there where `name` is not.
    const TensorEntry& at(std::string_view name) const;
    /// In the order of their data.
    std::vector<std::string> names() const;
    /// Without the checksums.
    const std::map<std::string, std::string>& metadata() const { return metadata_; }
    const std::filesystem::path& path() const { return path_; }

    /// Copies the array `name` to `values`, converted from whichever floating-point type it is stored in.
    /// Throws FileError where it is missing, of another shape, or holds integers; UsageError where `values`
    /// does not have the length that `expected_shape` asks for.
    void copy_to(std::string_view name, std::span<const Index> expected_shape, std::span<float> values) const;
    void copy_to(std::string_view name, std::span<const Index> expected_shape,
                 std::span<double> values) const;
    /// The same from whichever integer type it is stored in. Throws FileError, too, where a value is beyond
    /// what 64 bits with a sign hold.
    void copy_to(std::string_view name, std::span<const Index> expected_shape,
                 std::span<std::int64_t> values) const;

  private:
    friend class SafetensorsReader;
    SafetensorsFile() = default;
    const TensorEntry& checked(std::string_view name, std::span<const Index> expected_shape,
                               std::size_t length) const;
    template <class Scalar>
    void copy_floating(std::string_view name, std::span<const Index> expected_shape,
                       std::span<Scalar> values) const;

    std::filesystem::path path_;
    std::vector<std::byte> content_;
    std::vector<TensorEntry> entries_;
    std::unordered_map<std::string, std::size_t> positions_;
    std::map<std::string, std::string> metadata_;
};

/// Gathers arrays and writes them in one go. The bytes of the file depend on what was added, and in which
/// order, alone. Wider types come first, so that every array is aligned for readers that map the file.
class LOCKSTEP_EXPORT SafetensorsWriter {
  public:
    /// Looks at `values` without copying them: they must live, unchanged, until write().
    /// Throws UsageError where the name is taken or the shape does not have as many elements as `values`.
    void add(std::string name, std::vector<Index> shape, std::span<const float> values);
    void add(std::string name, std::vector<Index> shape, std::span<const double> values);
    void add(std::string name, std::vector<Index> shape, std::span<const std::int64_t> values);

    /// Takes `values` over, for arrays that were made only to be written.
    template <class Scalar, class Allocator>
    void add(std::string name, std::vector<Index> shape, std::vector<Scalar, Allocator>&& values) {
        auto owned = std::make_shared<const std::vector<Scalar, Allocator>>(std::move(values));
        add(std::move(name), std::move(shape), std::span<const Scalar>(*owned));
        owned_.push_back(std::move(owned));
    }

    void set_metadata(std::string key, std::string value);

    /// The file appears complete or not at all. Throws FileError where it cannot be written, UsageError where
    /// a name is not UTF-8.
    void write(const std::filesystem::path& path) const;

  private:
    void add_bytes(std::string name, DataType type, std::vector<Index> shape,
                   std::span<const std::byte> bytes);

    std::vector<TensorEntry> entries_;
    std::unordered_set<std::string> names_;
    std::vector<std::shared_ptr<const void>> owned_;
    std::map<std::string, std::string> metadata_;
};

}  // namespace lockstep
