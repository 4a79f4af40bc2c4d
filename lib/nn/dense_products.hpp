/// The three matrix products of a dense layer, by Eigen, for the vector width at which this processor is
/// fastest: chosen at run time, so that one binary serves every machine of a mixed cluster.
///
/// All matrices are column-major without gaps: samples are the columns of x (inputs × batch) and z (outputs ×
/// batch), and W is inputs × outputs, which is PyTorch's [out][in]. Instantiated for float and double.
#pragma once

#include <lockstep/base/shape.hpp>

namespace lockstep {

struct DenseExtents {
    Index inputs, outputs, batch;
};

template <class Scalar>
struct DenseProducts {
    /// z = Wᵀ·x
    void (*output)(const Scalar* weight, const Scalar* x, Scalar* z, const DenseExtents& extents);
    /// dW = x·dzᵀ
    void (*weight_gradient)(const Scalar* x, const Scalar* dz, Scalar* weight_gradient,
                            const DenseExtents& extents);
    /// dx = W·dz
    void (*input_gradient)(const Scalar* weight, const Scalar* dz, Scalar* dx, const DenseExtents& extents);
};

/// Those for the instruction set that LOCKSTEP_INSTRUCTION_SET names or, where it names none, that is
/// fastest.
template <class Scalar>
const DenseProducts<Scalar>& dense_products();

}  // namespace lockstep
