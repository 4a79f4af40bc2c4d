/// From the bytes of a file to float and double: every element type in both byte orders.
#pragma once

#include <lockstep/base/shape.hpp>
#include <lockstep/data/array.hpp>

#include <cstddef>

namespace lockstep {

/// Converts `count` values to `out`. Value k lies at values + offsets[k], or, if `offsets` is null, the
/// values lie one after another. Integers and doubles that T does not hold are rounded to nearest.
template <class T>
using ConvertValues = void (*)(const std::byte* values, const Index* offsets, Index count, T* out);

/// The conversion from a type in this processor's byte order, or, if `swapped`, the other. T: float, double.
template <class T>
ConvertValues<T> value_converter(ElementType element, bool swapped);

}  // namespace lockstep
