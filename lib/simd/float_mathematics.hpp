/// exp, expm1, log, log1p, tanh, erf and the logistic function for floats that are held as doubles: within 2⁻³³, so that
/// the float that the result is rounded to is within 0.51 units in its last place. What saturates does so exactly, as
/// 1 + erf(−∞) = 0: the results go on being used as doubles.
#pragma once

#include "math_coefficients.hpp"
#include "real_vectors.hpp"

#include <concepts>
#include <numbers>

namespace lockstep::LOCKSTEP_SET {

/// For |x| < 700.
template <int Lanes>
LOCKSTEP_INLINE Reals<Lanes> float_exponential(const Reals<Lanes>& x) {
    const Reals<Lanes> k = rounded<Lanes>(x * log2_of_e);
    return polynomial<Lanes>(float_exp, x - k * std::numbers::ln2) * power_of_two<Lanes>(k);
}

/// Beyond ± this exp gives infinity and 0, rounded to float.
constexpr double largest_float_exponent = 110;

template <std::same_as<float> Scalar, int Lanes>
LOCKSTEP_INLINE Reals<Lanes> exp_of(const Reals<Lanes>& x) {
    const Reals<Lanes> result =
        float_exponential<Lanes>(clamped<Lanes>(x, -largest_float_exponent, largest_float_exponent));
    return unless_nan<Lanes>(x, result);
}

template <std::same_as<float> Scalar, int Lanes>
LOCKSTEP_INLINE Reals<Lanes> expm1_of(const Reals<Lanes>& x) {
    constexpr double series[] = {1, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120};
    const Reals<Lanes> near_zero = x * polynomial<Lanes>(series, x);
    return magnitude<Lanes>(x) < 0x1p-5 ? near_zero : exp_of<Scalar, Lanes>(x) - 1.0;
}

/// For 0 < x < ∞.
template <int Lanes>
LOCKSTEP_INLINE Reals<Lanes> float_logarithm(const Reals<Lanes>& x) {
    // log(1 + f) = 2·artanh s with s = f/(2 + f)
    constexpr double series[] = {2.0, 2.0 / 3, 2.0 / 5, 2.0 / 7, 2.0 / 9, 2.0 / 11};
    const auto [k, f] = binary_parts<Lanes>(x);
    const Reals<Lanes> s = f / (2.0 + f);
    return k * std::numbers::ln2 + s * polynomial<Lanes>(series, s * s);
}

template <std::same_as<float> Scalar, int Lanes>
LOCKSTEP_INLINE Reals<Lanes> log_of(const Reals<Lanes>& x) {
    return unless_nan<Lanes>(x, logarithm_with_edges<Lanes>(x, float_logarithm<Lanes>(x)));
}

template <std::same_as<float> Scalar, int Lanes>
LOCKSTEP_INLINE Reals<Lanes> log1p_of(const Reals<Lanes>& x) {
    constexpr double series[] = {1, -1.0 / 2, 1.0 / 3};
    const Reals<Lanes> sum = 1.0 + x, near_zero = x * polynomial<Lanes>(series, x);
    const Reals<Lanes> result = logarithm_with_edges<Lanes>(sum, float_logarithm<Lanes>(sum));
    return unless_nan<Lanes>(x, magnitude<Lanes>(x) < 0x1p-13 ? near_zero : result);
}

/// tanh |x| = (e − 1)/(e + 1) with e = exp(2·|x|).
template <std::same_as<float> Scalar, int Lanes>
LOCKSTEP_INLINE Reals<Lanes> tanh_of(const Reals<Lanes>& x) {
    constexpr double series[] = {1, -1.0 / 3, 2.0 / 15};
    const Reals<Lanes> size = magnitude<Lanes>(x), near_zero = x * polynomial<Lanes>(series, x * x);
    const Reals<Lanes> e = float_exponential<Lanes>(2.0 * clamped<Lanes>(size, 0, 20));
    const Reals<Lanes> result = with_sign<Lanes>((e - 1.0) / (e + 1.0), x);
    return unless_nan<Lanes>(x, size < 0x1p-5 ? near_zero : result);
}

/// 1/(1 + exp(−x)); with e = exp(−|x|) that is 1/(1 + e) or e/(1 + e).
template <std::same_as<float> Scalar, int Lanes>
LOCKSTEP_INLINE Reals<Lanes> sigmoid_of(const Reals<Lanes>& x) {
    const Reals<Lanes> size = clamped<Lanes>(magnitude<Lanes>(x), 0, largest_float_exponent);
    const Reals<Lanes> e = float_exponential<Lanes>(-size);
    return unless_nan<Lanes>(x, (x < 0.0 ? e : broadcast<Lanes>(1.0)) / (1.0 + e));
}

/// 2/√π·∫ exp(−t²) dt from 0 to x.
template <std::same_as<float> Scalar, int Lanes>
LOCKSTEP_INLINE Reals<Lanes> erf_of(const Reals<Lanes>& x) {
    const Reals<Lanes> size = magnitude<Lanes>(x);
    const Reals<Lanes> near = clamped<Lanes>(size, 0, 1), far = clamped<Lanes>(size, 1, 6);
    const Reals<Lanes> small = near + near * polynomial<Lanes>(float_erf_near_zero, near * near);
    const Reals<Lanes> s = (1.0 / (far + 3.0) - float_erf_tail_middle) * float_erf_tail_scale;
    const Reals<Lanes> large =
        1.0 - float_exponential<Lanes>(-far * far) * polynomial<Lanes>(float_erf_tail, s);
    return unless_nan<Lanes>(x, with_sign<Lanes>(size < 1.0 ? small : large, x));
}

}  // namespace lockstep::LOCKSTEP_SET
