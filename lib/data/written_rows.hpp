/// What the writers of arrays check before they write.
#pragma once

#include <lockstep/data/array.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace lockstep {

template <class T>
inline constexpr ElementType element_of = ElementType::f32;
template <>
inline constexpr ElementType element_of<double> = ElementType::f64;
template <>
inline constexpr ElementType element_of<std::int64_t> = ElementType::i64;

/// Throws UsageError unless `element` is f32, f64 or i64, and the extents those of an array that has at least
/// one dimension, rows that hold a value, and a size in bytes that Index holds.
void check_written_array(const std::string& name, ElementType element, const std::vector<Index>& extents);

/// Of an array that check_written_array has passed.
struct WrittenRows {
    std::string name;
    ElementType element = ElementType::f32;
    Index rows = 0;
    Index row_size = 1;

    WrittenRows() = default;
    WrittenRows(std::string file, ElementType type, const std::vector<Index>& extents);

    /// How many rows `count` values are. Throws UsageError unless they are whole rows of the array's type,
    /// and `first` and those after it are rows of the array.
    Index check(Index first, ElementType type, std::size_t count) const;
};

}  // namespace lockstep
