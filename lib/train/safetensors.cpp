#include <lockstep/train/safetensors.hpp>

#include <lockstep/base/error.hpp>

#include <algorithm>
#include <bit>
#include <cstring>

namespace lockstep {
namespace {

static_assert(std::endian::native == std::endian::little,
              "the arrays of the file are copied as they lie there");

/// IEEE 754 binary16: 1 sign bit, 5 bits of exponent, 10 of mantissa.
struct Float16 {
    std::uint16_t bits;

    explicit operator float() const {
        const std::uint32_t sign = (bits & 0x8000u) << 16, exponent = bits >> 10 & 0x1fu,
                            mantissa = bits & 0x3ffu;
        if (exponent == 0) {  // no leading 1: a multiple of the least such number, 2^-24
            const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
            return sign != 0 ? -magnitude : magnitude;
        }
        const std::uint32_t widened = exponent == 0x1f ? 0xffu : exponent + (127 - 15);  // infinite or NaN
        return std::bit_cast<float>(sign | widened << 23 | mantissa << 13);
    }
    explicit operator double() const { return static_cast<float>(*this); }
};

/// The upper half of a float.
struct BFloat16 {
    std::uint16_t bits;

    explicit operator float() const { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }
    explicit operator double() const { return static_cast<float>(*this); }
};

/// memcpy, because neither the start of the data nor an array in it need be aligned.
template <class Stored, class Scalar>
void convert(std::span<const std::byte> bytes, std::span<Scalar> values) {
    if constexpr (std::is_same_v<Stored, Scalar>) {
        if (!bytes.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
    } else {
        const std::byte* source = bytes.data();
        for (Scalar& value : values) {
            Stored stored;
            std::memcpy(&stored, source, sizeof(Stored));
            // NOLINTNEXTLINE(bugprone-signed-char-misuse): a number, not a character
            value = static_cast<Scalar>(stored);
            source += sizeof(Stored);
        }
    }
}

}  // namespace

std::string_view to_string(DataType type) {
    switch (type) {
        case DataType::float16:
            return "F16";
        case DataType::bfloat16:
            return "BF16";
        case DataType::float32:
            return "F32";
        case DataType::float64:
            return "F64";
        case DataType::int8:
            return "I8";
        case DataType::uint8:
            return "U8";
        case DataType::int16:
            return "I16";
        case DataType::uint16:
            return "U16";
        case DataType::int32:
            return "I32";
        case DataType::uint32:
            return "U32";
        case DataType::int64:
            return "I64";
        case DataType::uint64:
            break;
    }
    return "U64";
}

std::size_t size_of(DataType type) {
    switch (type) {
        case DataType::int8:
        case DataType::uint8:
            return 1;
        case DataType::float16:
        case DataType::bfloat16:
        case DataType::int16:
        case DataType::uint16:
            return 2;
        case DataType::float32:
        case DataType::int32:
        case DataType::uint32:
            return 4;
        case DataType::float64:
        case DataType::int64:
        case DataType::uint64:
            break;
    }
    return 8;
}

std::string shape_to_string(std::span<const Index> shape) {
    std::string text = "[";
    for (const Index extent : shape) {
        if (text.size() > 1) text += ", ";
        text += std::to_string(extent);
    }
    return text + "]";
}

bool SafetensorsFile::contains(std::string_view name) const {
    return positions_.contains(std::string(name));
}

const TensorEntry& SafetensorsFile::at(std::string_view name) const {
    const auto found = positions_.find(std::string(name));
    if (found != positions_.end()) return entries_[found->second];

    constexpr std::size_t shown = 40;  // a listing that still fits a screen
    std::string listing;
    for (std::size_t i = 0; i < std::min(shown, entries_.size()); ++i) {
        if (i > 0) listing += ", ";
        listing += entries_[i].name;
    }
    if (entries_.empty()) listing = "nothing";
    if (entries_.size() > shown) listing += " and " + std::to_string(entries_.size() - shown) + " more";
    throw FileError(path_.string() + ": there is no tensor '" + std::string(name) +
                    "'; choose a model that fits the file, which holds " + listing);
}

std::vector<std::string> SafetensorsFile::names() const {
    std::vector<std::string> names;
    for (const TensorEntry& entry : entries_) names.push_back(entry.name);
    return names;
}

const TensorEntry& SafetensorsFile::checked(std::string_view name, std::span<const Index> expected_shape,
                                            std::size_t length) const {
    const TensorEntry& entry = at(name);
    if (!std::ranges::equal(entry.shape, expected_shape)) {
        throw FileError(path_.string() + ": tensor '" + entry.name + "' has shape " +
                        shape_to_string(entry.shape) + ", but " + shape_to_string(expected_shape) +
                        " is wanted; choose a model that fits the file");
    }
    if (entry.bytes.size() / size_of(entry.type) != length) {
        throw UsageError("tensor '" + entry.name + "' of shape " + shape_to_string(entry.shape) +
                         " does not fit an array of " + std::to_string(length) + " values");
    }
    return entry;
}

template <class Scalar>
void SafetensorsFile::copy_floating(std::string_view name, std::span<const Index> expected_shape,
                                    std::span<Scalar> values) const {
    const TensorEntry& entry = checked(name, expected_shape, values.size());
    switch (entry.type) {
        case DataType::float16:
            return convert<Float16>(entry.bytes, values);
        case DataType::bfloat16:
            return convert<BFloat16>(entry.bytes, values);
        case DataType::float32:
            return convert<float>(entry.bytes, values);
        case DataType::float64:
            return convert<double>(entry.bytes, values);
        default:
            break;
    }
    throw FileError(path_.string() + ": tensor '" + entry.name + "' holds integers (" +
                    std::string(to_string(entry.type)) +
                    "), but floating-point values are wanted; is it the right file?");
}

void SafetensorsFile::copy_to(std::string_view name, std::span<const Index> expected_shape,
                              std::span<float> values) const {
    copy_floating(name, expected_shape, values);
}

void SafetensorsFile::copy_to(std::string_view name, std::span<const Index> expected_shape,
                              std::span<double> values) const {
    copy_floating(name, expected_shape, values);
}

void SafetensorsFile::copy_to(std::string_view name, std::span<const Index> expected_shape,
                              std::span<std::int64_t> values) const {
    const TensorEntry& entry = checked(name, expected_shape, values.size());
    switch (entry.type) {
        case DataType::int8:
            return convert<std::int8_t>(entry.bytes, values);
        case DataType::uint8:
            return convert<std::uint8_t>(entry.bytes, values);
        case DataType::int16:
            return convert<std::int16_t>(entry.bytes, values);
        case DataType::uint16:
            return convert<std::uint16_t>(entry.bytes, values);
        case DataType::int32:
            return convert<std::int32_t>(entry.bytes, values);
        case DataType::uint32:
            return convert<std::uint32_t>(entry.bytes, values);
        case DataType::int64:
            return convert<std::int64_t>(entry.bytes, values);
        case DataType::uint64:
            convert<std::uint64_t>(entry.bytes, values);
            // Converted modulo 2⁶⁴: what has become negative was too large.
            if (std::ranges::all_of(values, [](std::int64_t value) { return value >= 0; })) return;
            throw FileError(path_.string() + ": tensor '" + entry.name +
                            "' holds a number above 2^63 - 1; is it the right file?");
        default:
            break;
    }
    throw FileError(path_.string() + ": tensor '" + entry.name + "' holds " +
                    std::string(to_string(entry.type)) + ", but integers are wanted; is it the right file?");
}

}  // namespace lockstep
