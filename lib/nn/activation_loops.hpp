/// The loops of the activations, for the widest instruction set that may be used: the same bits on each.
///
/// For float and double.
#pragma once

#include "../simd/tables.hpp"

#include <lockstep/nn/activation.hpp>

namespace lockstep {

/// One activation.
template <class Scalar>
struct ActivationLoops {
    /// z = f(x); z may be x.
    void (*output)(const Scalar* x, Scalar* z, Index count, Scalar argument);
    /// dx = f'(x)·dz, where `given` is z for the activations whose slope is computed from it, and x for the
    /// others. dx may be dz.
    void (*gradient)(const Scalar* given, const Scalar* dz, Scalar* dx, Index count, Scalar argument);
};

template <class Scalar>
struct AllActivationLoops {
    ActivationLoops<Scalar> of_kind[static_cast<int>(ActivationKind::identity) + 1];
};

LOCKSTEP_DECLARE_TABLES(AllActivationLoops<float>);
LOCKSTEP_DECLARE_TABLES(AllActivationLoops<double>);

}  // namespace lockstep
