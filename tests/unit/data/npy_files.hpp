/// .npy files written byte by byte, independently of the library.
#pragma once

#include <lockstep/base/shape.hpp>
#include <lockstep/data/array.hpp>

#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "data_files.hpp"

namespace lockstep::test {

/// NumPy's bool, which differs from uint8 by its name and by what it is read as.
enum class Flag : std::uint8_t {};

template <class T>
struct NpyType;
#define LOCKSTEP_NPY_TYPE(type, name, member)                       \
    template <>                                                     \
    struct NpyType<type> {                                          \
        static constexpr const char* code = name;                   \
        static constexpr ElementType element = ElementType::member; \
    }
LOCKSTEP_NPY_TYPE(std::uint8_t, "u1", u8);
LOCKSTEP_NPY_TYPE(std::int8_t, "i1", i8);
LOCKSTEP_NPY_TYPE(std::uint16_t, "u2", u16);
LOCKSTEP_NPY_TYPE(std::int16_t, "i2", i16);
LOCKSTEP_NPY_TYPE(std::uint32_t, "u4", u32);
LOCKSTEP_NPY_TYPE(std::int32_t, "i4", i32);
LOCKSTEP_NPY_TYPE(std::uint64_t, "u8", u64);
LOCKSTEP_NPY_TYPE(std::int64_t, "i8", i64);
LOCKSTEP_NPY_TYPE(float, "f4", f32);
LOCKSTEP_NPY_TYPE(double, "f8", f64);
LOCKSTEP_NPY_TYPE(Flag, "b1", boolean);
#undef LOCKSTEP_NPY_TYPE

/// Values that use the type to its ends, `count` of them.
template <class T>
std::vector<T> sample_values(std::size_t count) {
    std::vector<T> values;
    for (std::size_t i = 0; i < count; ++i) {
        if constexpr (std::is_same_v<T, Flag>) {
            values.push_back(static_cast<Flag>(i % 3 == 0));
        } else {
            const T ends[] = {std::numeric_limits<T>::lowest(), std::numeric_limits<T>::max(), T{0}, T{1}};
            const T between =
                std::is_integral_v<T> ? static_cast<T>(i) : static_cast<T>(0.1 * static_cast<double>(i));
            values.push_back(i % 3 == 0 ? ends[i / 3 % 4] : between);
        }
    }
    return values;
}

template <class T>
void append_value(Bytes& bytes, T value, bool big_endian) {
    std::uint8_t raw[sizeof value];
    std::memcpy(raw, &value, sizeof value);
    const bool forward = big_endian == (std::endian::native == std::endian::big);
    for (std::size_t i = 0; i < sizeof value; ++i) bytes.push_back(raw[forward ? i : sizeof value - 1 - i]);
}

/// A file of this version with this text as its header, as it is.
inline Bytes npy_file(int version, const std::string& text, const Bytes& values) {
    Bytes bytes = {0x93, 'N', 'U', 'M', 'P', 'Y', static_cast<std::uint8_t>(version), 0};
    for (int i = 0; i < (version == 1 ? 2 : 4); ++i)
        bytes.push_back(static_cast<std::uint8_t>(text.size() >> (8 * i)));
    bytes.insert(bytes.end(), text.begin(), text.end());
    bytes.insert(bytes.end(), values.begin(), values.end());
    return bytes;
}

inline std::string npy_text(const std::string& descr, bool fortran_order, const std::string& shape) {
    std::string text = "{'descr': '" + descr + "', 'fortran_order': " + (fortran_order ? "True" : "False") +
                       ", 'shape': " + shape + ", }";
    while ((10 + text.size()) % 64 != 63) text += ' ';
    return text + '\n';
}

/// The `values` of an array of three dimensions, given in C order.
template <class T>
Bytes npy_array(const std::vector<T>& values, Index rows, Index height, Index width, bool big_endian,
                bool fortran_order) {
    Bytes bytes;
    if (!fortran_order)
        for (const T value : values) append_value(bytes, value, big_endian);
    else
        for (Index k = 0; k < width; ++k)
            for (Index j = 0; j < height; ++j)
                for (Index i = 0; i < rows; ++i)
                    append_value(bytes, values[static_cast<std::size_t>((i * height + j) * width + k)],
                                 big_endian);
    const std::string order = sizeof(T) == 1 ? "|" : big_endian ? ">" : "<";
    const std::string shape =
        "(" + std::to_string(rows) + ", " + std::to_string(height) + ", " + std::to_string(width) + ")";
    return npy_file(1, npy_text(order + NpyType<T>::code, fortran_order, shape), bytes);
}

/// Checks that the array holds `values`, given in C order, as float and as double.
template <class T>
void expect_values(const Array& array, const std::vector<T>& values) {
    const Index size = array.row_size();
    ASSERT_EQ(array.rows() * size, static_cast<Index>(values.size()));
    std::vector<float> narrow(static_cast<std::size_t>(size));
    std::vector<double> wide(static_cast<std::size_t>(size));
    for (Index row = array.rows() - 1; row >= 0; --row) {
        array.read_row(row, narrow.data());
        array.read_row(row, wide.data());
        for (Index i = 0; i < size; ++i) {
            const T value = values[static_cast<std::size_t>(row * size + i)];
            ASSERT_EQ(narrow[static_cast<std::size_t>(i)], static_cast<float>(value)) << row << ", " << i;
            ASSERT_EQ(wide[static_cast<std::size_t>(i)], static_cast<double>(value)) << row << ", " << i;
        }
    }
}

}  // namespace lockstep::test
