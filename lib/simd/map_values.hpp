/// Loops that compute in vectors of doubles over arrays of float or double.
#pragma once

#include "vector_pack.hpp"

#include <algorithm>

namespace lockstep::LOCKSTEP_SET {

/// `count` values, at most a vector of them, and zeros after them.
template <int Lanes, class Scalar>
[[gnu::always_inline]] inline Pack<double, Lanes> load_as_double(const Scalar* from, Index count) {
    Scalar part[Lanes] = {};
    if (count < Lanes) {
        std::copy_n(from, count, part);
        from = part;
    }
    if constexpr (Lanes == 1)
        return static_cast<double>(*from);
    else
        return __builtin_convertvector(load<Lanes>(from), Pack<double, Lanes>);
}

template <int Lanes, class Scalar>
[[gnu::always_inline]] inline void store_rounded(Scalar* to, Index count, const Pack<double, Lanes>& values) {
    Scalar part[Lanes];
    Scalar* const target = count < Lanes ? part : to;
    if constexpr (Lanes == 1)
        *target = static_cast<Scalar>(values);
    else
        store(target, __builtin_convertvector(values, Pack<Scalar, Lanes>));
    if (count < Lanes) std::copy_n(part, count, to);
}

/// z[i] = function(x[i]...), value by value, in double. The function takes vectors of vector_lanes<double>; z may
/// be one of the inputs.
template <class Scalar, class Function, class... Inputs>
[[gnu::always_inline]] inline void map_values(Index count, Function function, Scalar* z, const Inputs*... x) {
    constexpr int lanes = vector_lanes<double>;
    for (Index i = 0; i < count; i += lanes) {
        const Index part = std::min<Index>(lanes, count - i);
        store_rounded<lanes>(z + i, part, function(load_as_double<lanes>(x + i, part)...));
    }
}

}  // namespace lockstep::LOCKSTEP_SET
