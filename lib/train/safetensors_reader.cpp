#include "safetensors_checksum.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/train/safetensors.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <fstream>
#include <functional>
#include <limits>
#include <optional>
#include <set>
#include <stdexcept>

namespace lockstep {
namespace {

using Json = nlohmann::json;

constexpr std::size_t prefix_bytes = 8;
constexpr std::uint64_t largest_header = 100'000'000;  // the limit of the reference implementation

/// Where in the data an array lies, both counted in bytes.
struct Extent {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
};

std::optional<DataType> find_type(std::string_view name) {
    for (const DataType type : {DataType::float16, DataType::bfloat16, DataType::float32, DataType::float64,
                                DataType::int8, DataType::uint8, DataType::int16, DataType::uint16,
                                DataType::int32, DataType::uint32, DataType::int64, DataType::uint64}) {
        if (name == to_string(type)) return type;
    }
    return std::nullopt;
}

/// Looks over the parser's shoulder for what the parsed value no longer shows, or for what would make it
/// huge.
class HeaderWatch {
  public:
    /// Throws std::invalid_argument; the caller knows the file's name.
    bool operator()(int depth, Json::parse_event_t event, const Json& value) {
        constexpr int deepest = 2;  // the header, a tensor's object, its shape
        switch (event) {
            case Json::parse_event_t::object_start:
            case Json::parse_event_t::array_start:
                if (depth > deepest) throw std::invalid_argument("it is nested too deeply");
                keys_[static_cast<std::size_t>(depth)].clear();
                break;
            case Json::parse_event_t::key: {
                const auto& key = value.get_ref<const std::string&>();
                if (!keys_[static_cast<std::size_t>(depth) - 1].insert(key).second) {
                    throw std::invalid_argument("'" + key + "' occurs twice");
                }
                break;
            }
            default:
                break;
        }
        return true;
    }

  private:
    std::array<std::set<std::string>, 3> keys_;  // one per open object
};

}  // namespace

/// The steps of SafetensorsFile::read, each of which may trust what the ones before it have checked.
class SafetensorsReader {
  public:
    explicit SafetensorsReader(const std::filesystem::path& path) { file_.path_ = path; }

    SafetensorsFile read() && {
        load();
        const Json header = parse_header();
        for (const auto& [name, value] : header.items()) {
            if (name == "__metadata__") {
                read_metadata(value);
            } else {
                read_entry(name, value);
            }
        }
        place_entries();
        check_checksums();
        return std::move(file_);
    }

  private:
    [[noreturn]] void fail(const std::string& what) const {
        throw FileError(file_.path_.string() + ": " + what +
                        "; the file is damaged or is not a .safetensors file: fetch or write it again");
    }
    [[noreturn]] void fail(const std::string& tensor, const std::string& what) const {
        fail("tensor '" + tensor + "': " + what);
    }

    void load() {
        std::error_code error;
        const auto status = std::filesystem::status(file_.path_, error);
        if (!std::filesystem::is_regular_file(status)) {
            throw FileError("cannot read " + file_.path_.string() + ": " +
                            (std::filesystem::exists(status) ? "it is not a file" : "there is no such file") +
                            "; check the path");
        }
        std::ifstream stream(file_.path_, std::ios::binary);
        const std::uintmax_t size = std::filesystem::file_size(file_.path_, error);
        if (!stream || error) {
            throw FileError("cannot read " + file_.path_.string() + "; check its permissions");
        }
        file_.content_.resize(size);
        stream.read(reinterpret_cast<char*>(file_.content_.data()), static_cast<std::streamsize>(size));
        if (stream.gcount() != static_cast<std::streamsize>(size)) fail("it ended while it was being read");
    }

    Json parse_header() {
        const std::span<const std::byte> content(file_.content_);
        if (content.size() < prefix_bytes) {
            fail("it has " + std::to_string(content.size()) +
                 " bytes, fewer than the 8 of the header's length");
        }
        std::uint64_t length = 0;
        for (std::size_t i = prefix_bytes; i-- > 0;) {
            length = length << 8 | std::to_integer<std::uint64_t>(content[i]);
        }
        if (length > largest_header || length > content.size() - prefix_bytes) {
            fail("its header claims " + std::to_string(length) + " bytes, but " +
                 std::to_string(content.size() - prefix_bytes) + " follow and at most " +
                 std::to_string(largest_header) + " are allowed");
        }
        data_ = content.subspan(prefix_bytes + length);
        const auto* text = reinterpret_cast<const char*>(content.data()) + prefix_bytes;
        try {
            // The callback by reference: the parser copies it, and its key sets, otherwise.
            HeaderWatch watch;
            Json header = Json::parse(text, text + length, std::ref(watch));
            if (!header.is_object()) fail("its header is not a JSON object");
            return header;
        } catch (const Json::exception& error) {
            fail(std::string("its header is not valid JSON (") + error.what() + ")");
        } catch (const std::invalid_argument& error) {
            fail(std::string("its header is not valid: ") + error.what());
        }
    }

    void read_metadata(const Json& value) {
        if (!value.is_object()) fail("__metadata__ is not a JSON object");
        for (const auto& [key, text] : value.items()) {
            if (!text.is_string()) fail("__metadata__: the value of '" + key + "' is not a text");
            file_.metadata_[key] = text.get<std::string>();
        }
    }

    void read_entry(const std::string& name, const Json& value) {
        if (!value.is_object()) fail(name, "its entry is not a JSON object");
        for (const char* key : {"dtype", "shape", "data_offsets"}) {
            if (!value.contains(key)) fail(name, std::string("its ") + key + " is missing");
        }
        if (value.size() != 3) fail(name, "its entry has more than dtype, shape and data_offsets");

        TensorEntry entry;
        entry.name = name;
        entry.type = read_type(name, value["dtype"]);
        const std::uint64_t count = read_shape(name, value["shape"], entry.shape);
        const Extent extent = read_extent(name, value["data_offsets"]);
        const std::size_t width = size_of(entry.type);
        // Divided rather than multiplied, which could overflow.
        const std::uint64_t bytes = extent.end - extent.begin;
        if (bytes % width != 0 || bytes / width != count) {
            fail(name, "shape " + shape_to_string(entry.shape) + " of " + std::string(to_string(entry.type)) +
                           " does not fill its " + std::to_string(bytes) + " bytes exactly");
        }
        entry.bytes = data_.subspan(extent.begin, bytes);
        file_.entries_.push_back(std::move(entry));
    }

    DataType read_type(const std::string& name, const Json& value) const {
        if (!value.is_string()) fail(name, "its dtype is not a text");
        const auto& text = value.get_ref<const std::string&>();
        if (const auto type = find_type(text)) return *type;
        throw FileError(file_.path_.string() + ": tensor '" + name + "': its dtype '" + text +
                        "' is not known; convert it to F16, BF16, F32, F64 or an integer type (I8 to U64)");
    }

    /// Fills `shape` and returns its number of elements.
    std::uint64_t read_shape(const std::string& name, const Json& value, std::vector<Index>& shape) const {
        if (!value.is_array()) fail(name, "its shape is not a list");
        constexpr auto largest = static_cast<std::uint64_t>(std::numeric_limits<Index>::max());
        std::uint64_t count = 1;
        for (const Json& extent : value) {
            if (!extent.is_number_unsigned() || extent.get<std::uint64_t>() > largest) {
                const std::string held = extent.is_number() ? extent.dump() : std::string(extent.type_name());
                fail(name, "its shape holds " + held + ", which is not the extent of an array");
            }
            const auto length = extent.get<std::uint64_t>();
            if (length != 0 && count > largest / length) fail(name, "its shape overflows");
            count *= length;
            shape.push_back(static_cast<Index>(length));
        }
        return count;
    }

    Extent read_extent(const std::string& name, const Json& value) const {
        if (!value.is_array() || value.size() != 2 || !value[0].is_number_unsigned() ||
            !value[1].is_number_unsigned()) {
            fail(name, "its data_offsets are not two whole numbers");
        }
        const Extent extent{value[0].get<std::uint64_t>(), value[1].get<std::uint64_t>()};
        if (extent.begin > extent.end || extent.end > data_.size()) {
            fail(name, "its data_offsets [" + std::to_string(extent.begin) + ", " +
                           std::to_string(extent.end) + "] leave the " + std::to_string(data_.size()) +
                           " bytes of data");
        }
        return extent;
    }

    /// Sorts the entries by their data and checks that they tile it, as the format demands: a byte that
    /// belongs to no array, or to two, means that header and data are not of one piece.
    void place_entries() {
        std::ranges::sort(file_.entries_, [](const TensorEntry& a, const TensorEntry& b) {
            return std::pair(a.bytes.data(), a.bytes.size()) < std::pair(b.bytes.data(), b.bytes.size());
        });
        const std::byte* expected = data_.data();
        for (const TensorEntry& entry : file_.entries_) {
            if (entry.bytes.data() < expected) fail(entry.name, "its data overlap those of another tensor");
            if (entry.bytes.data() > expected) fail(entry.name, "a gap lies before its data");
            expected += entry.bytes.size();
            file_.positions_[entry.name] = file_.positions_.size();
        }
        const auto trailing = data_.data() + data_.size() - expected;
        if (trailing != 0) fail(std::to_string(trailing) + " bytes at its end belong to no tensor");
    }

    /// Files of other programs have none.
    void check_checksums() {
        std::vector<const TensorEntry*> entries;
        for (const TensorEntry& entry : file_.entries_) entries.push_back(&entry);
        const std::string damage = find_damage(entries, file_.metadata_);
        if (!damage.empty()) fail(damage);
    }

    SafetensorsFile file_;
    std::span<const std::byte> data_;  // within file_.content_, whose storage moves along with file_
};

SafetensorsFile SafetensorsFile::read(const std::filesystem::path& path) {
    return SafetensorsReader(path).read();
}

}  // namespace lockstep
