/// Vectors of doubles, and their bits: what the functions of mathematics.hpp are made of.
#pragma once

#include "vector_pack.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>

#define LOCKSTEP_INLINE [[gnu::always_inline]] inline

namespace lockstep::LOCKSTEP_SET {

#define LOCKSTEP_INLINE [[gnu::always_inline]] inline

template <int Lanes>
using Reals = Pack<double, Lanes>;
template <int Lanes>
using Bits = Pack<std::uint64_t, Lanes>;

template <int Lanes>
LOCKSTEP_INLINE Bits<Lanes> bits_of(const Reals<Lanes>& x) {
    Bits<Lanes> bits;
    __builtin_memcpy(&bits, &x, sizeof bits);
    return bits;
}

template <int Lanes>
LOCKSTEP_INLINE Reals<Lanes> reals_of(const Bits<Lanes>& bits) {
    Reals<Lanes> x;
    __builtin_memcpy(&x, &bits, sizeof x);
    return x;
}

constexpr std::uint64_t sign_bit = std::uint64_t{1} << 63;

template <int Lanes>
LOCKSTEP_INLINE Reals<Lanes> magnitude(const Reals<Lanes>& x) {
    return reals_of<Lanes>(bits_of<Lanes>(x) & ~sign_bit);
}

/// `x`, which is not negative, with the sign of `like`.
template <int Lanes>
LOCKSTEP_INLINE Reals<Lanes> with_sign(const Reals<Lanes>& x, const Reals<Lanes>& like) {
    return reals_of<Lanes>(bits_of<Lanes>(x) | (bits_of<Lanes>(like) & sign_bit));
}

/// `result`, but `x` itself where that is NaN: the same NaN on every instruction set.
template <int Lanes>
LOCKSTEP_INLINE Reals<Lanes> unless_nan(const Reals<Lanes>& x, const Reals<Lanes>& result) {
    return x == x ? result : x;  // NOLINT(misc-redundant-expression)
}

/// A NaN stays one.
template <int Lanes>
LOCKSTEP_INLINE Reals<Lanes> clamped(const Reals<Lanes>& x, double least, double most) {
    const Reals<Lanes> low = broadcast<Lanes>(least), high = broadcast<Lanes>(most);
    const Reals<Lanes> raised = x < low ? low : x;
    return raised > high ? high : raised;
}

/// c[0] + c[1]·x + c[2]·x² + …
template <int Lanes, std::size_t Count>
LOCKSTEP_INLINE Reals<Lanes> polynomial(const double (&coefficients)[Count], const Reals<Lanes>& x) {
    Reals<Lanes> sum = broadcast<Lanes>(coefficients[Count - 1]);
    for (std::size_t i = Count - 1; i-- > 0;) sum = sum * x + coefficients[i];
    return sum;
}

/// Added to a double of magnitude below 2⁵¹ it leaves the nearest whole number in the lowest bits.
constexpr double whole_number = 0x1.8p52;

template <int Lanes>
LOCKSTEP_INLINE Reals<Lanes> rounded(const Reals<Lanes>& x) {
    return (x + whole_number) - whole_number;
}

/// 2ᵏ for whole k from −1022 to 1023.
template <int Lanes>
LOCKSTEP_INLINE Reals<Lanes> power_of_two(const Reals<Lanes>& k) {
    return reals_of<Lanes>(bits_of<Lanes>(k + (whole_number + 1023)) << 52);
}

/// x·2ᵏ, rounded once, for whole k from −2044 to 2046.
template <int Lanes>
LOCKSTEP_INLINE Reals<Lanes> scaled(const Reals<Lanes>& x, const Reals<Lanes>& k) {
    const Reals<Lanes> half = rounded<Lanes>(k * 0.5);
    return x * power_of_two<Lanes>(half) * power_of_two<Lanes>(k - half);
}

constexpr double log2_of_e = 0x1.71547652b82fep+0;

/// x = 2ᵏ·(1 + f) with 1 + f from √½ to √2.
template <int Lanes>
struct BinaryParts {
    Reals<Lanes> k, f;
};

/// For 0 < x < ∞.
template <int Lanes>
LOCKSTEP_INLINE BinaryParts<Lanes> binary_parts(const Reals<Lanes>& x) {
    constexpr double smallest_normal = std::numeric_limits<double>::min();
    constexpr std::uint64_t one = std::uint64_t{1023} << 52, root_of_half = 0x3fe6a09e667f3bcd;
    const auto subnormal = x < smallest_normal;
    const Reals<Lanes> normal = subnormal ? x * 0x1p54 : x;
    const Bits<Lanes> bits = bits_of<Lanes>(normal), biased = (bits + (one - root_of_half)) >> 52;
    const Reals<Lanes> from_bits = reals_of<Lanes>(biased | bits_of<Lanes>(broadcast<Lanes>(0x1p52)));
    const Reals<Lanes> scaled_by = subnormal ? broadcast<Lanes>(54.0) : Reals<Lanes>{};
    return {(from_bits - (0x1p52 + 1023)) - scaled_by, reals_of<Lanes>(bits - (biased << 52) + one) - 1.0};
}

/// What the logarithm of x is where it is no number between 0 and infinity, and `result` elsewhere.
template <int Lanes>
LOCKSTEP_INLINE Reals<Lanes> logarithm_with_edges(const Reals<Lanes>& x, const Reals<Lanes>& result) {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
    const Reals<Lanes> finite = x < infinity ? result : x;
    const Reals<Lanes> above_zero = x == 0.0 ? broadcast<Lanes>(-infinity) : finite;
    return x < 0.0 ? broadcast<Lanes>(not_a_number) : above_zero;
}

}  // namespace lockstep::LOCKSTEP_SET
