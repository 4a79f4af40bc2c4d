#include "kernel_table.hpp"

#include <lockstep/norm/kernels.hpp>
#include <lockstep/norm/moments.hpp>

#include <unistd.h>

#include <algorithm>
#include <type_traits>

namespace lockstep {
namespace {

template <class Scalar>
constexpr const KernelTable<Scalar>& table_of(const KernelTable<float>& floats,
                                              const KernelTable<double>& doubles) {
    if constexpr (std::is_same_v<Scalar, float>) {
        return floats;
    } else {
        return doubles;
    }
}

template <class Scalar>
const KernelTable<Scalar>& active_table() {
    switch (active_instruction_set()) {
#ifdef LOCKSTEP_X86_KERNELS
        case InstructionSet::avx512:
            return table_of<Scalar>(avx512::float_kernels, avx512::double_kernels);
        case InstructionSet::avx2:
            return table_of<Scalar>(avx2::float_kernels, avx2::double_kernels);
#endif
        default:
            return table_of<Scalar>(portable::float_kernels, portable::double_kernels);
    }
}

/// Of the cache that one core has for itself.
Index core_cache_bytes() {
    constexpr Index typical = Index{512} << 10;
#ifdef _SC_LEVEL2_CACHE_SIZE
    const Index bytes = ::sysconf(_SC_LEVEL2_CACHE_SIZE);
    return bytes > 0 ? bytes : typical;
#else
    return typical;
#endif
}

}  // namespace

Index channels_in_cache(Index channels, const BatchShape& shape, std::size_t value_bytes) {
    static const Index cache_bytes = core_cache_bytes();
    const Index channel_bytes = shape.values() * static_cast<Index>(value_bytes);
    if (channel_bytes == 0 || channel_bytes > cache_bytes) return channels;
    const Index fitting = std::max<Index>(1, cache_bytes / 2 / channel_bytes);
    if (shape.order == ChannelOrder::first && shape.spatial > 1) return std::min(fitting, channels);
    // Whole cache lines of full vectors, and rows that are not joined (see kernel_layout.hpp).
    constexpr Index group = 64;
    return channels % group != 0 || fitting < group ? channels : std::min(fitting / group * group, channels);
}

template <class Scalar>
void batch_moments(const Scalar* x, Index channels, const BatchShape& shape, ChannelRange range,
                   double* moments) {
    if (shape.values() > 0) return active_table<Scalar>().batch_moments(x, channels, shape, range, moments);
    const MomentsView<double> result{moments, channels};
    result.count() = 0;
    std::fill_n(result.mean() + range.begin, range.size(), 0.0);
    std::fill_n(result.m2() + range.begin, range.size(), 0.0);
}

template <class Scalar>
void normalize(const Scalar* x, Scalar* z, Index channels, const BatchShape& shape, ChannelRange range,
               const NormalizeCoefficients<Scalar>& coefficients) {
    if (shape.values() > 0) active_table<Scalar>().normalize(x, z, channels, shape, range, coefficients);
}

template <class Scalar>
void gradient_sums(const Scalar* x, const Scalar* dz, Index channels, const BatchShape& shape,
                   ChannelRange range, const Scalar* shift, double* sums) {
    if (shape.values() > 0)
        return active_table<Scalar>().gradient_sums(x, dz, channels, shape, range, shift, sums);
    std::fill_n(sums + range.begin, range.size(), 0.0);
    std::fill_n(sums + channels + range.begin, range.size(), 0.0);
}

template <class Scalar>
void input_gradient(const Scalar* x, const Scalar* dz, Scalar* dx, Index channels, const BatchShape& shape,
                    ChannelRange range, const InputGradientCoefficients<Scalar>& coefficients) {
    if (shape.values() > 0)
        active_table<Scalar>().input_gradient(x, dz, dx, channels, shape, range, coefficients);
}

#define LOCKSTEP_INSTANTIATE(Scalar)                                                                        \
    template LOCKSTEP_EXPORT void batch_moments(const Scalar*, Index, const BatchShape&, ChannelRange,      \
                                                double*);                                                   \
    template LOCKSTEP_EXPORT void normalize(const Scalar*, Scalar*, Index, const BatchShape&, ChannelRange, \
                                            const NormalizeCoefficients<Scalar>&);                          \
    template LOCKSTEP_EXPORT void gradient_sums(const Scalar*, const Scalar*, Index, const BatchShape&,     \
                                                ChannelRange, const Scalar*, double*);                      \
    template LOCKSTEP_EXPORT void input_gradient(const Scalar*, const Scalar*, Scalar*, Index,              \
                                                 const BatchShape&, ChannelRange,                           \
                                                 const InputGradientCoefficients<Scalar>&)

LOCKSTEP_INSTANTIATE(float);
LOCKSTEP_INSTANTIATE(double);
#undef LOCKSTEP_INSTANTIATE

}  // namespace lockstep
