/// exp, expm1, log, log1p, tanh, erf and the logistic function for doubles: within 1.3 units in the last place.
///
/// What would lose digits is kept as a sum of two doubles (Dekker, "A floating-point technique for extending the
/// available precision", Numer. Math. 18, 1971).
#pragma once

#include "math_coefficients.hpp"
#include "real_vectors.hpp"

#include <concepts>

namespace lockstep::LOCKSTEP_SET {

/// high + low, where low is less than a unit in the last place of high.
template <int Lanes>
struct TwoReals {
    Reals<Lanes> high, low;
};

template <int Lanes>
LOCKSTEP_INLINE TwoReals<Lanes> exact_sum(const Reals<Lanes>& a, const Reals<Lanes>& b) {
    const Reals<Lanes> sum = a + b, from_b = sum - a;
    return {sum, (a - (sum - from_b)) + (b - from_b)};
}

/// The upper 26 bits of x, for |x| < 2⁹⁹⁶.
template <int Lanes>
LOCKSTEP_INLINE Reals<Lanes> upper_half(const Reals<Lanes>& x) {
    const Reals<Lanes> scaled = x * 0x1.0000002p27;  // 2²⁷ + 1
    return scaled - (scaled - x);
}

template <int Lanes>
LOCKSTEP_INLINE TwoReals<Lanes> exact_product(const Reals<Lanes>& a, const Reals<Lanes>& b) {
    const Reals<Lanes> product = a * b;
    const Reals<Lanes> a_high = upper_half<Lanes>(a), a_low = a - a_high;
    const Reals<Lanes> b_high = upper_half<Lanes>(b), b_low = b - b_high;
    return {product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low};
}

/// Their quotient, which is rounded once but for a hair.
template <int Lanes>
LOCKSTEP_INLINE Reals<Lanes> quotient(const TwoReals<Lanes>& numerator, const TwoReals<Lanes>& denominator) {
    const Reals<Lanes> inverse = 1.0 / denominator.high, guess = numerator.high * inverse;
    const auto product = exact_product<Lanes>(guess, denominator.high);
    const Reals<Lanes> rest =
        ((numerator.high - product.high) - product.low) + numerator.low - guess * denominator.low;
    return guess + rest * inverse;
}

constexpr double ln2_high = 0x1.62e42feep-1;  // 32 bits, so that its products with exponents are exact
constexpr double ln2_low = 0x1.a39ef35793c76p-33;

/// eˣ = 2ᵏ·(1 + rest) with whole k.
template <int Lanes>
struct Exponential {
    Reals<Lanes> k;
    TwoReals<Lanes> rest;  ///< between √½ − 1 and √2 − 1

    LOCKSTEP_INLINE TwoReals<Lanes> mantissa() const {
        auto sum = exact_sum<Lanes>(broadcast<Lanes>(1.0), rest.high);
        sum.low += rest.low;
        return sum;
    }
    LOCKSTEP_INLINE Reals<Lanes> value() const {
        const auto sum = mantissa();
        return scaled<Lanes>(sum.high + sum.low, k);
    }
    /// eˣ − 1, for k from −1022 to 1023.
    LOCKSTEP_INLINE TwoReals<Lanes> minus_one() const {
        const Reals<Lanes> scale = power_of_two<Lanes>(k);
        const auto whole = exact_sum<Lanes>(scale, broadcast<Lanes>(-1.0));
        auto sum = exact_sum<Lanes>(whole.high, scale * rest.high);
        sum.low += whole.low + scale * rest.low;
        return sum;
    }
};

/// Exponents from here on give infinity, and below the negative give 0.
constexpr double largest_exponent = 750;

/// For |x| ≤ largest_exponent.
template <int Lanes>
LOCKSTEP_INLINE Exponential<Lanes> exponential(const Reals<Lanes>& x) {
    // (eʳ − 1 − r)/r² by Taylor's series: for |r| ≤ ½·ln 2 what is left out is below 2⁻⁵⁷.
    constexpr double series[] = {1.0 / 2,       1.0 / 6,        1.0 / 24,        1.0 / 120,
                                 1.0 / 720,     1.0 / 5040,     1.0 / 40320,     1.0 / 362880,
                                 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800};
    const Reals<Lanes> k = rounded<Lanes>(x * log2_of_e);
    const Reals<Lanes> high = x - k * ln2_high, low = k * ln2_low, r = high - low;
    return {k, exact_sum<Lanes>(high, r * r * polynomial<Lanes>(series, r) - low)};
}

template <std::same_as<double> Scalar, int Lanes>
LOCKSTEP_INLINE Reals<Lanes> exp_of(const Reals<Lanes>& x) {
    const auto e = exponential<Lanes>(clamped<Lanes>(x, -largest_exponent, largest_exponent));
    return unless_nan<Lanes>(x, e.value());
}

template <std::same_as<double> Scalar, int Lanes>
LOCKSTEP_INLINE Reals<Lanes> expm1_of(const Reals<Lanes>& x) {
    const auto e = exponential<Lanes>(clamped<Lanes>(x, -60, largest_exponent));
    const auto difference = e.minus_one();
    const Reals<Lanes> large = x > 40.0 ? e.value() : difference.high + difference.low;
    const Reals<Lanes> result = magnitude<Lanes>(x) < 0x1p-54 ? x : large;
    return unless_nan<Lanes>(x, result);
}

/// log(x + correction) for x > 0, where the correction is below a unit in the last place of x.
template <int Lanes>
LOCKSTEP_INLINE Reals<Lanes> logarithm(const Reals<Lanes>& x, const Reals<Lanes>& correction) {
    // log(1 + f) = 2·artanh s with s = f/(2 + f), so that log(1 + f) = f − f²/2 + s·(f²/2 + r) with
    // r = 2·(s²/3 + s⁴/5 + …): what is left out is below 2⁻⁵⁷.
    constexpr double series[] = {2.0 / 3,  2.0 / 5,  2.0 / 7,  2.0 / 9,  2.0 / 11,
                                 2.0 / 13, 2.0 / 15, 2.0 / 17, 2.0 / 19, 2.0 / 21};
    const auto [k, f] = binary_parts<Lanes>(x);
    const Reals<Lanes> s = f / (2.0 + f), s2 = s * s, half_square = 0.5 * f * f;
    const Reals<Lanes> r = s2 * polynomial<Lanes>(series, s2);
    return k * ln2_high - ((half_square - (s * (half_square + r) + (k * ln2_low + correction / x))) - f);
}

template <std::same_as<double> Scalar, int Lanes>
LOCKSTEP_INLINE Reals<Lanes> log_of(const Reals<Lanes>& x) {
    return unless_nan<Lanes>(x, logarithm_with_edges<Lanes>(x, logarithm<Lanes>(x, Reals<Lanes>{})));
}

template <std::same_as<double> Scalar, int Lanes>
LOCKSTEP_INLINE Reals<Lanes> log1p_of(const Reals<Lanes>& x) {
    const auto sum = exact_sum<Lanes>(broadcast<Lanes>(1.0), x);
    const Reals<Lanes> result = logarithm_with_edges<Lanes>(sum.high, logarithm<Lanes>(sum.high, sum.low));
    return unless_nan<Lanes>(x, magnitude<Lanes>(x) < 0x1p-54 ? x : result);
}

/// tanh |x| = (e − 1)/(e + 1) with e = exp(2·|x|).
template <std::same_as<double> Scalar, int Lanes>
LOCKSTEP_INLINE Reals<Lanes> tanh_of(const Reals<Lanes>& x) {
    const Reals<Lanes> size = clamped<Lanes>(magnitude<Lanes>(x), 0, 21);
    const auto numerator = exponential<Lanes>(2.0 * size).minus_one();
    auto denominator = exact_sum<Lanes>(broadcast<Lanes>(2.0), numerator.high);
    denominator.low += numerator.low;
    const Reals<Lanes> result = with_sign<Lanes>(quotient<Lanes>(numerator, denominator), x);
    return unless_nan<Lanes>(x, magnitude<Lanes>(x) < 0x1p-28 ? x : result);
}

/// 1/(1 + exp(−x)); with e = exp(−|x|) that is 1/(1 + e) or e/(1 + e).
template <std::same_as<double> Scalar, int Lanes>
LOCKSTEP_INLINE Reals<Lanes> sigmoid_of(const Reals<Lanes>& x) {
    const auto e = exponential<Lanes>(-clamped<Lanes>(magnitude<Lanes>(x), 0, largest_exponent));
    const auto mantissa = e.mantissa();
    auto denominator = exact_sum<Lanes>(broadcast<Lanes>(1.0), scaled<Lanes>(mantissa.high, e.k));
    denominator.low += scaled<Lanes>(mantissa.low, e.k);
    const auto negative = x < 0.0;
    const TwoReals<Lanes> numerator{negative ? mantissa.high : broadcast<Lanes>(1.0),
                                    negative ? mantissa.low : Reals<Lanes>{}};
    const Reals<Lanes> result = quotient<Lanes>(numerator, denominator);
    return unless_nan<Lanes>(x, negative ? scaled<Lanes>(result, e.k) : result);
}

/// 2/√π·∫ exp(−t²) dt from 0 to x.
template <std::same_as<double> Scalar, int Lanes>
LOCKSTEP_INLINE Reals<Lanes> erf_of(const Reals<Lanes>& x) {
    const Reals<Lanes> size = magnitude<Lanes>(x);
    const Reals<Lanes> near = clamped<Lanes>(size, 0, 1), far = clamped<Lanes>(size, 1, 6);
    const Reals<Lanes> small = near + near * polynomial<Lanes>(erf_near_zero, near * near);
    const Reals<Lanes> s = (1.0 / (far + 3.0) - erf_tail_middle) * erf_tail_scale;
    const Reals<Lanes> large = 1.0 - exponential<Lanes>(-far * far).value() * polynomial<Lanes>(erf_tail, s);
    return unless_nan<Lanes>(x, with_sign<Lanes>(size < 1.0 ? small : large, x));
}

}  // namespace lockstep::LOCKSTEP_SET
