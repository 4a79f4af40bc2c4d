/// The update rules of the optimizers (see optimizer.hpp), for the widest instruction set that may be used: the same
/// bits on each.
///
/// For float and double. All arrays have `count` values.
#pragma once

#include "../simd/tables.hpp"

#include <lockstep/base/shape.hpp>

namespace lockstep {

template <class Scalar>
struct MomentumFactors {
    Scalar rate, decay, momentum;
};
/// What is one number per step.
template <class Scalar>
struct AdamwFactors {
    Scalar rate, root_correction, kept;
    Scalar beta1, rest1, beta2, rest2, epsilon;
};

template <class Scalar>
struct OptimizerLoops {
    void (*sgd)(Scalar rate, Scalar decay, Scalar* parameters, const Scalar* gradients, Index count);
    void (*momentum)(const MomentumFactors<Scalar>& factors, Scalar* parameters, const Scalar* gradients,
                     Scalar* buffer, Index count);
    void (*nesterov)(const MomentumFactors<Scalar>& factors, Scalar* parameters, const Scalar* gradients,
                     Scalar* buffer, Index count);
    void (*adamw)(const AdamwFactors<Scalar>& factors, Scalar* parameters, const Scalar* gradients,
                  Scalar* average, Scalar* average_square, Index count);
};

LOCKSTEP_DECLARE_TABLES(OptimizerLoops<float>);
LOCKSTEP_DECLARE_TABLES(OptimizerLoops<double>);

}  // namespace lockstep
