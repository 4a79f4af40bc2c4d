/// The kernels of one instruction set, and the coefficients that go with them.
#pragma once

#include "../simd/tables.hpp"

#include <lockstep/norm/kernels.hpp>

namespace lockstep {

/// See kernels.hpp for what each does. batch·spatial is not 0.
template <class Scalar>
struct KernelTable {
    void (*batch_moments)(const Scalar* x, Index channels, const BatchShape& shape, ChannelRange range,
                          double* moments);
    void (*normalize)(const Scalar* x, Scalar* z, Index channels, const BatchShape& shape, ChannelRange range,
                      const NormalizeCoefficients<Scalar>& coefficients, Activation activation);
    void (*gradient_sums)(const Scalar* x, const Scalar* dz, Index channels, const BatchShape& shape,
                          ChannelRange range, const NormalizeCoefficients<Scalar>& forward,
                          Activation activation, double* sums);
    void (*input_gradient)(const Scalar* x, const Scalar* dz, Scalar* dx, Index channels,
                           const BatchShape& shape, ChannelRange range,
                           const InputGradientCoefficients<Scalar>& coefficients, Activation activation);
};

LOCKSTEP_DECLARE_TABLES(KernelTable<float>);
LOCKSTEP_DECLARE_TABLES(KernelTable<double>);

}  // namespace lockstep
