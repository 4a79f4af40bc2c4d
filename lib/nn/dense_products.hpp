/// The three matrix products of a dense layer, by Eigen, for the vector width at which this processor is
/// fastest: chosen at run time, so that one binary serves every machine of a mixed cluster.
///
/// All matrices are column-major without gaps: samples are the columns of x (inputs × batch) and z (outputs ×
/// batch), and W is inputs × outputs, which is PyTorch's [out][in]. Instantiated for float and double.
#pragma once

#include "../simd/tables.hpp"

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

LOCKSTEP_DECLARE_TABLES(DenseProducts<float>);
LOCKSTEP_DECLARE_TABLES(DenseProducts<double>);

/// Those for product_instruction_set().
template <class Scalar>
const DenseProducts<Scalar>& dense_products() {
    return table_for<DenseProducts<Scalar>>(product_instruction_set());
}

}  // namespace lockstep
