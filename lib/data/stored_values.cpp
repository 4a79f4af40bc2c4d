#include "stored_values.hpp"

#include <bit>
#include <cstdint>
#include <cstring>

namespace lockstep {
namespace {

/// NumPy's bool: a byte.
struct Boolean {
    std::uint8_t byte;
    template <class T>
    explicit operator T() const {
        return byte != 0 ? T{1} : T{0};
    }
};

template <std::size_t bytes>
struct Swap;
template <>
struct Swap<1> {
    using Word = std::uint8_t;
    static Word swap(Word word) { return word; }
};
template <>
struct Swap<2> {
    using Word = std::uint16_t;
    static Word swap(Word word) { return __builtin_bswap16(word); }
};
template <>
struct Swap<4> {
    using Word = std::uint32_t;
    static Word swap(Word word) { return __builtin_bswap32(word); }
};
template <>
struct Swap<8> {
    using Word = std::uint64_t;
    static Word swap(Word word) { return __builtin_bswap64(word); }
};

/// Values in a file need not be aligned.
template <class Stored, bool swapped>
Stored load(const std::byte* from) {
    typename Swap<sizeof(Stored)>::Word word;
    std::memcpy(&word, from, sizeof word);
    if constexpr (swapped) word = Swap<sizeof(Stored)>::swap(word);
    return std::bit_cast<Stored>(word);
}

template <class Stored, bool swapped, class T>
void convert(const std::byte* values, const Index* offsets, Index count, T* out) {
    constexpr auto step = static_cast<Index>(sizeof(Stored));
    if (offsets == nullptr)
        for (Index k = 0; k < count; ++k) out[k] = static_cast<T>(load<Stored, swapped>(values + k * step));
    else
        for (Index k = 0; k < count; ++k) out[k] = static_cast<T>(load<Stored, swapped>(values + offsets[k]));
}

template <class Stored, class T>
ConvertValues<T> in_order(bool swapped) {
    return swapped ? convert<Stored, true, T> : convert<Stored, false, T>;
}

}  // namespace

template <class T>
ConvertValues<T> value_converter(ElementType element, bool swapped) {
    switch (element) {
        case ElementType::u8:
            return in_order<std::uint8_t, T>(swapped);
        case ElementType::i8:
            return in_order<std::int8_t, T>(swapped);
        case ElementType::u16:
            return in_order<std::uint16_t, T>(swapped);
        case ElementType::i16:
            return in_order<std::int16_t, T>(swapped);
        case ElementType::u32:
            return in_order<std::uint32_t, T>(swapped);
        case ElementType::i32:
            return in_order<std::int32_t, T>(swapped);
        case ElementType::u64:
            return in_order<std::uint64_t, T>(swapped);
        case ElementType::i64:
            return in_order<std::int64_t, T>(swapped);
        case ElementType::f32:
            return in_order<float, T>(swapped);
        case ElementType::f64:
            return in_order<double, T>(swapped);
        case ElementType::boolean:
            return in_order<Boolean, T>(swapped);
    }
    return nullptr;
}

template ConvertValues<float> value_converter<float>(ElementType, bool);
template ConvertValues<double> value_converter<double>(ElementType, bool);

}  // namespace lockstep
