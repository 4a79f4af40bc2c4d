/// See kernels_impl.hpp for how this is included.
#pragma once

#include "array_math.hpp"
#include "map_values.hpp"
#include "mathematics.hpp"

namespace lockstep::LOCKSTEP_SET {
namespace {

using Argument = Reals<double_lanes>;

/// A loop over one of the functions.
template <class Scalar, Argument (*function)(const Argument&)>
void over_array(const Scalar* x, Scalar* z, Index count) {
    map_values(
        count, [](const Argument& value) { return function(value); }, z, x);
}

template <class Scalar>
constexpr ArrayMath<Scalar> array_math{
    over_array<Scalar, exp_of<Scalar, double_lanes>>,    over_array<Scalar, expm1_of<Scalar, double_lanes>>,
    over_array<Scalar, log_of<Scalar, double_lanes>>,    over_array<Scalar, log1p_of<Scalar, double_lanes>>,
    over_array<Scalar, tanh_of<Scalar, double_lanes>>,   over_array<Scalar, erf_of<Scalar, double_lanes>>,
    over_array<Scalar, sigmoid_of<Scalar, double_lanes>>};

}  // namespace
}  // namespace lockstep::LOCKSTEP_SET

namespace lockstep {

// NOLINTBEGIN(misc-definitions-in-headers): one source for each set includes this
template <>
const ArrayMath<float> Tables<ArrayMath<float>>::LOCKSTEP_SET = LOCKSTEP_SET::array_math<float>;
template <>
const ArrayMath<double> Tables<ArrayMath<double>>::LOCKSTEP_SET = LOCKSTEP_SET::array_math<double>;
// NOLINTEND(misc-definitions-in-headers)

}  // namespace lockstep
