#include "safetensors_checksum.hpp"

#include <lockstep/base/atomic_file.hpp>
#include <lockstep/base/error.hpp>
#include <lockstep/train/safetensors.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>

namespace lockstep {
namespace {

using OrderedJson = nlohmann::ordered_json;

/// Nothing where the number of elements of `shape` is not a number of values that memory can hold.
std::optional<std::size_t> element_count(std::span<const Index> shape) {
    Index count = 1;
    for (const Index extent : shape) {
        if (extent < 0) return std::nullopt;
        if (extent != 0 && count > std::numeric_limits<Index>::max() / extent) return std::nullopt;
        count *= extent;
    }
    return static_cast<std::size_t>(count);
}

/// The JSON text, filled up with spaces so that the data start at a multiple of 8.
std::string header_text(std::span<const TensorEntry* const> entries,
                        const std::map<std::string, std::string>& metadata) {
    OrderedJson header = OrderedJson::object();
    if (!metadata.empty()) header["__metadata__"] = metadata;
    std::size_t begin = 0;
    for (const TensorEntry* entry : entries) {
        const std::size_t end = begin + entry->bytes.size();
        header[entry->name] = {
            {"dtype", to_string(entry->type)}, {"shape", entry->shape}, {"data_offsets", {begin, end}}};
        begin = end;
    }
    std::string text;
    try {
        text = header.dump();
    } catch (const OrderedJson::type_error& error) {
        throw UsageError(std::string("names and metadata of a .safetensors file must be UTF-8: ") +
                         error.what());
    }
    text.resize((text.size() + 7) / 8 * 8, ' ');
    return text;
}

}  // namespace

void SafetensorsWriter::add(std::string name, std::vector<Index> shape, std::span<const float> values) {
    add_bytes(std::move(name), DataType::float32, std::move(shape), std::as_bytes(values));
}

void SafetensorsWriter::add(std::string name, std::vector<Index> shape, std::span<const double> values) {
    add_bytes(std::move(name), DataType::float64, std::move(shape), std::as_bytes(values));
}

void SafetensorsWriter::add(std::string name, std::vector<Index> shape,
                            std::span<const std::int64_t> values) {
    add_bytes(std::move(name), DataType::int64, std::move(shape), std::as_bytes(values));
}

void SafetensorsWriter::add_bytes(std::string name, DataType type, std::vector<Index> shape,
                                  std::span<const std::byte> bytes) {
    if (name == "__metadata__")
        throw UsageError("a tensor cannot be called __metadata__: choose another name");
    if (!names_.insert(name).second) throw UsageError("there are two tensors called '" + name + "'");
    const std::size_t count = bytes.size() / size_of(type);
    if (element_count(shape) != count) {
        throw UsageError("tensor '" + name + "': shape " + shape_to_string(shape) + " does not hold its " +
                         std::to_string(count) + " values");
    }
    entries_.push_back({std::move(name), type, std::move(shape), bytes});
}

void SafetensorsWriter::set_metadata(std::string key, std::string value) {
    metadata_[std::move(key)] = std::move(value);
}

void SafetensorsWriter::write(const std::filesystem::path& path) const {
    std::vector<const TensorEntry*> entries;
    for (const TensorEntry& entry : entries_) entries.push_back(&entry);
    std::stable_partition(entries.begin(), entries.end(),
                          [](const TensorEntry* entry) { return size_of(entry->type) == 8; });

    Metadata metadata = metadata_;
    add_checksums(entries, metadata);
    const std::string header = header_text(entries, metadata);
    std::array<std::byte, 8> length{};
    for (std::size_t i = 0; i < length.size(); ++i)
        length[i] = static_cast<std::byte>(header.size() >> (8 * i));

    AtomicFile file(path);
    file.write(length);
    file.write(header);
    for (const TensorEntry* entry : entries) file.write(entry->bytes);
    file.commit();
}

}  // namespace lockstep
