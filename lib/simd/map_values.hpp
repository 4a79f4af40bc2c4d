/// Loops that compute in vectors of doubles over arrays of float or double.
#pragma once

#include "vector_pack.hpp"

#include <cstddef>

namespace lockstep::LOCKSTEP_SET {

constexpr int double_lanes = vector_lanes<double>;

/// `count` values, at most double_lanes of them, and zeros after them.
template <class Scalar>
[[gnu::always_inline]] inline Pack<double, double_lanes> load_as_double(const Scalar* from, Index count) {
    if (count == double_lanes)
        return __builtin_convertvector(load<double_lanes>(from), Pack<double, double_lanes>);
    Scalar part[double_lanes] = {};
    __builtin_memmove(part, from, static_cast<std::size_t>(count) * sizeof *from);
    return __builtin_convertvector(load<double_lanes>(part), Pack<double, double_lanes>);
}

template <class Scalar>
[[gnu::always_inline]] inline void store_rounded(Scalar* to, Index count,
                                                 const Pack<double, double_lanes>& values) {
    const auto narrowed = __builtin_convertvector(values, Pack<Scalar, double_lanes>);
    if (count == double_lanes) return store(to, narrowed);
    Scalar part[double_lanes];
    store(part, narrowed);
    __builtin_memmove(to, part, static_cast<std::size_t>(count) * sizeof *to);
}

/// z[i] = function(x[i]...), value by value, in double. The function takes vectors of double_lanes; z may
/// be one of the inputs.
template <class Scalar, class Function, class... Inputs>
[[gnu::always_inline]] inline void map_values(Index count, Function function, Scalar* z, const Inputs*... x) {
    for (Index i = 0; i < count; i += double_lanes) {
        const Index part = count - i < double_lanes ? count - i : double_lanes;
        store_rounded(z + i, part, function(load_as_double(x + i, part)...));
    }
}

}  // namespace lockstep::LOCKSTEP_SET
