#include "npy_header.hpp"

#include "python_literal.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <optional>
#include <span>
#include <stdexcept>
#include <utility>

namespace lockstep {
namespace {

constexpr std::size_t largest_text = 65535;  // what version 1 can hold; NumPy's own limit is 10000
constexpr std::size_t alignment = 64;

struct TypeCode {
    std::string_view code;
    ElementType element;
};
constexpr std::array<TypeCode, 11> type_codes = {{{"u1", ElementType::u8},
                                                  {"i1", ElementType::i8},
                                                  {"u2", ElementType::u16},
                                                  {"i2", ElementType::i16},
                                                  {"u4", ElementType::u32},
                                                  {"i4", ElementType::i32},
                                                  {"u8", ElementType::u64},
                                                  {"i8", ElementType::i64},
                                                  {"f4", ElementType::f32},
                                                  {"f8", ElementType::f64},
                                                  {"b1", ElementType::boolean}}};

/// Why values of this type are not read, and what to do.
std::string refusal(const std::string& descr) {
    const std::string code = descr.substr(std::min(descr.find_first_not_of("<>|="), descr.size()));
    const std::string type = "it holds values of type '" + descr + "', ";
    const std::string expected = ", where integers, float32, float64 or bool were expected; ";
    if (code == "f2") return type + "float16" + expected + "convert them with .astype('float32')";
    if (code == "f12" || code == "f16")
        return type + "long double" + expected + "convert them with .astype('float64')";
    switch (code.empty() ? '?' : code.front()) {
        case 'c':
            return type + "complex numbers" + expected + "save .real and .imag as columns of their own";
        case 'O':
            return type + "Python objects" + expected + "convert them with .astype('float32')";
        case 'S':
        case 'a':
        case 'U':
            return type + "texts" + expected + "convert them with .astype('float32'), or number them";
        case 'M':
        case 'm':
            return type + "dates or times" + expected + "convert them with .astype('int64')";
        case 'V':
            return type + "raw bytes" + expected + "convert them with .view(...) to what they are";
        default:
            return type + "which is none of NumPy's" + expected + "the file is damaged";
    }
}

/// "<f4" → float32, little endian.
void set_type(ArrayLayout& layout, const std::string& descr) {
    const char order = descr.empty() ? '?' : descr.front();
    const std::string_view code = std::string_view(descr).substr(std::min<std::size_t>(1, descr.size()));
    const auto* const found = std::ranges::find(type_codes, code, &TypeCode::code);
    const bool known_order = order == '<' || order == '>' || order == '=' || order == '|';
    if (found == type_codes.end() || !known_order) throw std::invalid_argument(refusal(descr));
    layout.element = found->element;
    if (order == '|' && size_of(layout.element) > 1)
        throw std::invalid_argument("its type '" + descr + "' says no byte order; it is damaged");
    layout.big_endian = order == '>' || (order == '=' && std::endian::native == std::endian::big);
}

ArrayLayout parse_text(std::string_view text) {
    ArrayLayout layout;
    bool has_type = false, has_order = false, has_shape = false;
    PythonLiteral literal(text);
    literal.expect('{');
    while (!literal.accept('}')) {
        const std::string key = literal.read_string();
        literal.expect(':');
        if (key == "descr" && !std::exchange(has_type, true)) {
            if (literal.next_is('['))
                throw std::invalid_argument(
                    "it holds structures of named fields, where numbers were expected; "
                    "save each field as an array of its own");
            set_type(layout, literal.read_string());
        } else if (key == "fortran_order" && !std::exchange(has_order, true)) {
            layout.fortran_order = literal.read_bool();
        } else if (key == "shape" && !std::exchange(has_shape, true)) {
            layout.extents = literal.read_tuple();
        } else {
            throw std::invalid_argument("its header is damaged: it has an unexpected key '" + key + "'");
        }
        if (!literal.accept(',') && !literal.next_is('}'))
            throw std::invalid_argument("its header is damaged: a comma is missing");
    }
    literal.expect_end();
    if (!has_type || !has_order || !has_shape)
        throw std::invalid_argument("its header is damaged: descr, fortran_order or shape is missing");
    return layout;
}

/// Nothing if the size is more than Index can hold.
std::optional<Index> bytes_of(const ArrayLayout& layout) {
    Index bytes = size_of(layout.element);
    for (const Index extent : layout.extents) {
        if (extent != 0 && bytes > std::numeric_limits<Index>::max() / extent) return std::nullopt;
        bytes *= extent;
    }
    return bytes;
}

void check_size(const ArrayLayout& layout, const WatchedFile& file) {
    const std::string announced = "its header announces " + extents_to_string(layout.extents) +
                                  " values of " + std::string(to_string(layout.element));
    const std::optional<Index> bytes = bytes_of(layout);
    if (!bytes) file.fail(announced + ", more than any file can hold; it is damaged");
    const Index held = static_cast<Index>(file.size()) - layout.data_offset;
    if (held == *bytes) return;
    file.fail(announced + ", which are " + std::to_string(*bytes) + " bytes, but " + std::to_string(held) +
              " bytes follow; " +
              (held < *bytes ? "the file was cut, or is still being written"
                             : "it is damaged, or holds more than one array"));
}

}  // namespace

ArrayLayout read_npy_header(const WatchedFile& file) {
    std::array<std::byte, 12> start{};
    const std::size_t got = file.read(0, start);
    const auto byte = [&](std::size_t i) { return std::to_integer<std::size_t>(start[i]); };
    if (got < 10 ||
        !std::equal(npy_magic.begin(), npy_magic.end(), reinterpret_cast<const char*>(start.data())))
        file.fail("it does not begin as an .npy file does");
    const std::size_t version = byte(6);
    if (version < 1 || version > 3 || byte(7) != 0)
        file.fail("its format is version " + std::to_string(version) + "." + std::to_string(byte(7)) +
                  " of .npy, where 1.0, 2.0 or 3.0 was expected");
    const std::size_t text_begin = version == 1 ? 10 : 12;
    std::size_t length = byte(8) | byte(9) << 8;
    if (version > 1) length |= byte(10) << 16 | byte(11) << 24;
    if (length > largest_text)
        file.fail("its header has a length of " + std::to_string(length) + " bytes, where at most " +
                  std::to_string(largest_text) + " were expected; it is damaged");
    std::string text(length, '\0');
    if (got < text_begin || file.read(text_begin, std::as_writable_bytes(std::span(text))) < length)
        file.fail("it ends within its header; the file was cut, or is still being written");
    ArrayLayout layout;
    try {
        layout = parse_text(text);
    } catch (const std::invalid_argument& error) {
        file.fail(error.what());
    }
    layout.data_offset = static_cast<Index>(text_begin + length);
    check_size(layout, file);
    return layout;
}

std::string npy_header(ElementType element, const std::vector<Index>& extents) {
    const auto* const type = std::ranges::find(type_codes, element, &TypeCode::element);
    const char order = size_of(element) == 1 ? '|' : std::endian::native == std::endian::big ? '>' : '<';
    std::string shape;
    for (const Index extent : extents) shape += std::to_string(extent) + ", ";
    if (extents.size() > 1) shape.resize(shape.size() - 2);
    std::string text = std::string("{'descr': '") + order + std::string(type->code) +
                       "', 'fortran_order': False, 'shape': (" + shape + "), }";
    const std::size_t start = npy_magic.size() + 4;
    text.append(alignment - 1 - (start + text.size()) % alignment, ' ');
    text += '\n';
    std::string header(npy_magic);
    header += {'\x01', '\x00', static_cast<char>(text.size() & 255), static_cast<char>(text.size() >> 8)};
    return header + text;
}

}  // namespace lockstep
