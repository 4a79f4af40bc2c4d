#!/usr/bin/env python3
"""Writes lib/simd/erf_coefficients.hpp: Chebyshev interpolation in 60 digits (needs mpmath).

    python3 tests/support/make_erf_coefficients.py > lib/simd/erf_coefficients.hpp
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


MIDDLE, HALF = (mpf(1) / 4 + mpf(1) / 9) / 2, (mpf(1) / 4 - mpf(1) / 9) / 2


def scaled_tail(degree):
    def function(s):
        x = 1 / (MIDDLE + HALF * s) - 3
        return mp.erfc(x) * mp.exp(x * x)
    return interpolate(function, degree)


def show(comment, name, coefficients):
    print(f"/// {comment}\ninline constexpr double {name}[] = {{")
    for coefficient in coefficients:
        print(f"    {float(coefficient)!r},")
    print("};\n")


print("""/// Polynomials of the error function, the constant first; written by tests/support/make_erf_coefficients.py.
#pragma once

// clang-format off
namespace lockstep {
""")
show("erf(x)/x − 1 in x², for |x| ≤ 1.", "erf_near_zero", in_square(12))
show("exp(x²)·erfc(x) in s = (1/(x + 3) − 13/72)/(5/72), for 1 ≤ x ≤ 6.", "erf_tail", scaled_tail(16))
print("}  // namespace lockstep")
