#!/usr/bin/env python3
"""Writes lib/simd/math_coefficients.hpp: Chebyshev interpolation in 60 digits (needs mpmath).

    python3 tests/support/make_math_coefficients.py > lib/simd/math_coefficients.hpp
"""
from mpmath import mp, mpf

mp.dps = 60


def interpolate(function, degree):
    """Monomial coefficients, constant first, of the polynomial through the Chebyshev points of [-1, 1]."""
    count = degree + 1
    angles = [mp.pi * (k + mpf(1) / 2) / count for k in range(count)]
    values = [function(mp.cos(angle)) for angle in angles]
    total = [mpf(0)] * count
    before, polynomial = [mpf(0)] * count, [mpf(1)] + [mpf(0)] * degree  # T(j−1) and T(j)
    for j in range(count):
        weight = sum(v * mp.cos(j * a) for v, a in zip(values, angles)) * (1 if j == 0 else 2) / count
        total = [t + weight * p for t, p in zip(total, polynomial)]
        shifted = [mpf(0)] + polynomial[:-1]
        after = [(s if j == 0 else 2 * s - b) for s, b in zip(shifted, before)]
        before, polynomial = polynomial, after
    return total


def in_square(degree):
    """erf(x)/x − 1 in z = x² of [0, 1], from a polynomial in 2z − 1."""
    def function(t):
        z = (t + 1) / 2
        return 2 / mp.sqrt(mp.pi) - 1 if z == 0 else mp.erf(mp.sqrt(z)) / mp.sqrt(z) - 1
    result = [mpf(0)] * (degree + 1)
    for coefficient in reversed(interpolate(function, degree)):  # Horner on polynomials
        result = [coefficient * (i == 0) + 2 * (result[i - 1] if i else 0) - result[i] for i in range(degree + 1)]
    return result


def scaled_tail(degree, end):
    """exp(x²)·erfc(x) for x from 1 to `end`, in s = (1/(x + 3) − middle)/half; middle and half besides."""
    middle, half = (mpf(1) / 4 + 1 / (mpf(end) + 3)) / 2, (mpf(1) / 4 - 1 / (mpf(end) + 3)) / 2

    def function(s):
        x = 1 / (middle + half * s) - 3
        return mp.erfc(x) * mp.exp(x * x)
    return interpolate(function, degree), middle, half


def exponential(degree):
    """eʳ for |r| ≤ ½·ln 2."""
    reach = mp.log(2) / 2
    return [c / reach**i for i, c in enumerate(interpolate(lambda t: mp.exp(reach * t), degree))]


def show(comment, name, coefficients):
    print(f"/// {comment}\nconstexpr double {name}[] = {{")
    for coefficient in coefficients:
        print(f"    {float(coefficient)!r},")
    print("};\n")


def show_tail(name, degree, end):
    coefficients, middle, half = scaled_tail(degree, end)
    show(f"exp(x²)·erfc(x) in s = (1/(x + 3) − middle)·scale, for 1 ≤ x ≤ {end}.", name, coefficients)
    print(f"constexpr double {name}_middle = {float(middle)!r}, {name}_scale = {float(1 / half)!r};\n")


print("""/// Polynomials of exp and erf, the constant first; written by tests/support/make_math_coefficients.py.
#pragma once

// clang-format off
namespace lockstep {
""")
show("erf(x)/x − 1 in x², for |x| ≤ 1, to 2⁻⁵⁷.", "erf_near_zero", in_square(12))
show_tail("erf_tail", 16, 6)
print("// To 2⁻³³, for floats.\n")
show("eʳ for |r| ≤ ½·ln 2.", "float_exp", exponential(8))
show("erf(x)/x − 1 in x², for |x| ≤ 1.", "float_erf_near_zero", in_square(7))
show_tail("float_erf_tail", 9, 6)
print("}  // namespace lockstep")
