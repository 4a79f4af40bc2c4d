/// The kernels of one instruction set, and the coefficients that go with them.
#pragma once

#include "../simd/tables.hpp"

#include <lockstep/norm/kernels.hpp>

namespace lockstep {

/// A KernelTeam as the kernels see it: in plain functions, so that no inline function of a common header is compiled with
/// the flags of one instruction set.
struct KernelThreads {
    KernelTeam* team;  ///< null: the calling thread alone, and none of the functions is called
    void (*run)(KernelTeam* team, int tasks, void (*task)(void* argument, int number), void* argument);
    void* (*scratch)(KernelTeam* team, std::size_t bytes);
};

/// See kernels.hpp for what each does. batch·spatial is not 0.
template <class Scalar>
struct KernelTable {
    void (*batch_moments)(const Scalar* x, Index channels, const BatchShape& shape, ChannelRange range,
                          double* moments, const KernelThreads& threads);
    void (*normalize)(const Scalar* x, Scalar* z, Index channels, const BatchShape& shape, ChannelRange range,
                      const NormalizeCoefficients<Scalar>& coefficients, Activation activation,
                      const KernelThreads& threads);
    void (*gradient_sums)(const Scalar* x, const Scalar* dz, Index channels, const BatchShape& shape,
                          ChannelRange range, const NormalizeCoefficients<Scalar>& forward,
                          Activation activation, double* sums, const KernelThreads& threads);
    void (*input_gradient)(const Scalar* x, const Scalar* dz, Scalar* dx, Index channels,
                           const BatchShape& shape, ChannelRange range,
                           const InputGradientCoefficients<Scalar>& coefficients, Activation activation,
                           const KernelThreads& threads);
};

LOCKSTEP_DECLARE_TABLES(KernelTable<float>);
LOCKSTEP_DECLARE_TABLES(KernelTable<double>);

}  // namespace lockstep
