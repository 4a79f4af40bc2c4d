/// See kernels_impl.hpp for how this is included. The compiler vectorizes these loops; nothing is fused, so that every
/// set gives the same bits.
#pragma once

#include "optimizer_loops.hpp"

namespace lockstep::LOCKSTEP_SET {
namespace {

inline float root(float value) {
    return __builtin_sqrtf(value);
}
inline double root(double value) {
    return __builtin_sqrt(value);
}

template <class Scalar>
void sgd(Scalar rate, Scalar decay, Scalar* __restrict parameters, const Scalar* __restrict gradients,
         Index count) {
    for (Index i = 0; i < count; ++i) parameters[i] -= rate * (gradients[i] + decay * parameters[i]);
}

template <class Scalar>
void momentum(const MomentumFactors<Scalar>& factors, Scalar* __restrict parameters,
              const Scalar* __restrict gradients, Scalar* __restrict buffer, Index count) {
    const MomentumFactors<Scalar> f = factors;
    for (Index i = 0; i < count; ++i) {
        buffer[i] = f.momentum * buffer[i] + (gradients[i] + f.decay * parameters[i]);
        parameters[i] -= f.rate * buffer[i];
    }
}

template <class Scalar>
void nesterov(const MomentumFactors<Scalar>& factors, Scalar* __restrict parameters,
              const Scalar* __restrict gradients, Scalar* __restrict buffer, Index count) {
    const MomentumFactors<Scalar> f = factors;
    for (Index i = 0; i < count; ++i) {
        const Scalar gradient = gradients[i] + f.decay * parameters[i];
        buffer[i] = f.momentum * buffer[i] + gradient;
        parameters[i] -= f.rate * (gradient + f.momentum * buffer[i]);
    }
}

template <class Scalar>
void adamw(const AdamwFactors<Scalar>& factors, Scalar* __restrict parameters,
           const Scalar* __restrict gradients, Scalar* __restrict average, Scalar* __restrict average_square,
           Index count) {
    const AdamwFactors<Scalar> f = factors;
    for (Index i = 0; i < count; ++i) {
        const Scalar gradient = gradients[i];
        average[i] = f.beta1 * average[i] + f.rest1 * gradient;
        average_square[i] = f.beta2 * average_square[i] + f.rest2 * gradient * gradient;
        const Scalar denominator = root(average_square[i]) / f.root_correction + f.epsilon;
        parameters[i] = f.kept * parameters[i] - f.rate * (average[i] / denominator);
    }
}

}  // namespace
}  // namespace lockstep::LOCKSTEP_SET

namespace lockstep {

// NOLINTBEGIN(misc-definitions-in-headers): one source for each set includes this
template <>
const OptimizerLoops<float> Tables<OptimizerLoops<float>>::LOCKSTEP_SET{
    LOCKSTEP_SET::sgd<float>, LOCKSTEP_SET::momentum<float>, LOCKSTEP_SET::nesterov<float>,
    LOCKSTEP_SET::adamw<float>};
template <>
const OptimizerLoops<double> Tables<OptimizerLoops<double>>::LOCKSTEP_SET{
    LOCKSTEP_SET::sgd<double>, LOCKSTEP_SET::momentum<double>, LOCKSTEP_SET::nesterov<double>,
    LOCKSTEP_SET::adamw<double>};
// NOLINTEND(misc-definitions-in-headers)

}  // namespace lockstep
