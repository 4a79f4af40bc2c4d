/// See kernels_impl.hpp for how this is included.
#pragma once

#include "../simd/map_values.hpp"
#include "../simd/mathematics.hpp"
#include "activation_loops.hpp"

#include <numbers>

namespace lockstep::LOCKSTEP_SET {
namespace {

using Values = Reals<double_lanes>;

// The simple ones: the compiler vectorizes these loops.

template <class Scalar>
struct Relu {
    // Written so that a NaN stays one: a diverged run must not look like dead units.
    static void output(const Scalar* x, Scalar* z, Index count, Scalar) {
        for (Index i = 0; i < count; ++i) z[i] = x[i] < 0 ? Scalar(0) : x[i];
    }
    static void gradient(const Scalar* z, const Scalar* dz, Scalar* dx, Index count, Scalar) {
        for (Index i = 0; i < count; ++i) dx[i] = z[i] > 0 ? dz[i] : Scalar(0);
    }
};

template <class Scalar>
struct LeakyRelu {
    static void output(const Scalar* x, Scalar* z, Index count, Scalar slope) {
        for (Index i = 0; i < count; ++i) {
            const Scalar scaled = slope * x[i];  // always, so that the loop becomes one of vectors
            z[i] = x[i] > 0 ? x[i] : scaled;
        }
    }
    static void gradient(const Scalar* z, const Scalar* dz, Scalar* dx, Index count, Scalar slope) {
        for (Index i = 0; i < count; ++i) {
            const Scalar scaled = slope * dz[i];
            dx[i] = z[i] > 0 ? dz[i] : scaled;
        }
    }
};

template <class Scalar>
struct Identity {
    static void output(const Scalar* x, Scalar* z, Index count, Scalar) {
        if (x != z) __builtin_memcpy(z, x, static_cast<std::size_t>(count) * sizeof *x);
    }
    static void gradient(const Scalar*, const Scalar* dz, Scalar* dx, Index count, Scalar) {
        if (dx != dz) __builtin_memcpy(dx, dz, static_cast<std::size_t>(count) * sizeof *dz);
    }
};

// The others on vectors of doubles: value(x, argument) and slope(what is given, argument).

template <class Scalar, class Function>
struct Smooth {
    static void output(const Scalar* x, Scalar* z, Index count, Scalar argument) {
        const auto a = static_cast<double>(argument);
        map_values(
            count, [a](const Values& v) { return Function::value(v, a); }, z, x);
    }
    static void gradient(const Scalar* given, const Scalar* dz, Scalar* dx, Index count, Scalar argument) {
        const auto a = static_cast<double>(argument);
        map_values(
            count, [a](const Values& g, const Values& d) { return d * Function::slope(g, a); }, dx, given,
            dz);
    }
};

template <class Scalar>
struct Elu {
    static Values value(const Values& x, double a) {
        return x > 0.0 ? x : a * expm1_of<Scalar, double_lanes>(x);
    }
    static Values slope(const Values& z, double a) { return z > 0.0 ? broadcast<double_lanes>(1.0) : z + a; }
};

template <class Scalar>
struct Gelu {
    static Values normal_distribution(const Values& x) {
        return 0.5 * (1.0 + erf_of<Scalar, double_lanes>(x * (1 / std::numbers::sqrt2)));
    }
    static Values value(const Values& x, double) { return x * normal_distribution(x); }
    static Values slope(const Values& x, double) {
        constexpr double density_at_zero = std::numbers::inv_sqrtpi / std::numbers::sqrt2;
        return normal_distribution(x) + x * density_at_zero * exp_of<Scalar, double_lanes>(-0.5 * x * x);
    }
};

template <class Scalar>
struct GeluTanh {
    static constexpr double scale = std::numbers::sqrt2 * std::numbers::inv_sqrtpi, cubic = 0.044715;
    static Values hyperbolic(const Values& x) {
        return tanh_of<Scalar, double_lanes>(scale * (x + cubic * x * x * x));
    }
    static Values value(const Values& x, double) { return 0.5 * x * (1.0 + hyperbolic(x)); }
    static Values slope(const Values& x, double) {
        const Values t = hyperbolic(x);
        return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * scale * (1.0 + 3 * cubic * x * x);
    }
};

template <class Scalar>
struct Silu {
    static Values value(const Values& x, double) { return x * sigmoid_of<Scalar, double_lanes>(x); }
    static Values slope(const Values& x, double) {
        const Values s = sigmoid_of<Scalar, double_lanes>(x);
        return s * (1.0 + x * (1.0 - s));
    }
};

template <class Scalar>
struct Tanh {
    static Values value(const Values& x, double) { return tanh_of<Scalar, double_lanes>(x); }
    static Values slope(const Values& z, double) { return 1.0 - z * z; }
};

template <class Scalar>
struct Sigmoid {
    static Values value(const Values& x, double) { return sigmoid_of<Scalar, double_lanes>(x); }
    static Values slope(const Values& z, double) { return z * (1.0 - z); }
};

template <class Scalar>
struct Softplus {
    static constexpr double threshold = 20;
    static Values value(const Values& x, double) {
        return x > threshold ? x : log1p_of<Scalar, double_lanes>(exp_of<Scalar, double_lanes>(x));
    }
    static Values slope(const Values& x, double) {
        return x > threshold ? broadcast<double_lanes>(1.0) : sigmoid_of<Scalar, double_lanes>(x);
    }
};

template <class Loops, class Scalar>
constexpr ActivationLoops<Scalar> loops{Loops::output, Loops::gradient};

/// In the order of ActivationKind.
template <class Scalar>
constexpr AllActivationLoops<Scalar> all_loops{{
    loops<Relu<Scalar>, Scalar>,
    loops<LeakyRelu<Scalar>, Scalar>,
    loops<Smooth<Scalar, Elu<Scalar>>, Scalar>,
    loops<Smooth<Scalar, Gelu<Scalar>>, Scalar>,
    loops<Smooth<Scalar, GeluTanh<Scalar>>, Scalar>,
    loops<Smooth<Scalar, Silu<Scalar>>, Scalar>,
    loops<Smooth<Scalar, Tanh<Scalar>>, Scalar>,
    loops<Smooth<Scalar, Sigmoid<Scalar>>, Scalar>,
    loops<Smooth<Scalar, Softplus<Scalar>>, Scalar>,
    loops<Identity<Scalar>, Scalar>,
}};

}  // namespace
}  // namespace lockstep::LOCKSTEP_SET

namespace lockstep {

// NOLINTBEGIN(misc-definitions-in-headers): one source for each set includes this
template <>
const AllActivationLoops<float> Tables<AllActivationLoops<float>>::LOCKSTEP_SET =
    LOCKSTEP_SET::all_loops<float>;
template <>
const AllActivationLoops<double> Tables<AllActivationLoops<double>>::LOCKSTEP_SET =
    LOCKSTEP_SET::all_loops<double>;
// NOLINTEND(misc-definitions-in-headers)

}  // namespace lockstep
