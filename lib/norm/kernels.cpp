#include <lockstep/norm/kernels.hpp>

#include "kernel_table.hpp"

#include <lockstep/norm/moments.hpp>

#include <unistd.h>

#include <algorithm>

namespace lockstep {
namespace {

template <class Scalar>
const KernelTable<Scalar>& active_table() {
    return table_for<KernelTable<Scalar>>(active_instruction_set());
}

KernelThreads threads_of(KernelTeam* team) {
    if (team != nullptr && team->is_alone()) team = nullptr;
    return {team,
            [](KernelTeam* given, int tasks, void (*task)(void*, int), void* argument) {
                given->executor()->run(tasks, {task, argument});
            },
            [](KernelTeam* given, std::size_t bytes) -> void* { return given->scratch(bytes); }};
}

/// The bytes of a cache as the system tells them, or `typical`.
Index cache_bytes(int name, Index typical) {
    const Index bytes = ::sysconf(name);
    return bytes > 0 ? bytes : typical;
}

}  // namespace

std::byte* KernelTeam::scratch(std::size_t bytes) {
    if (scratch_.size() < bytes) scratch_.resize(bytes);
    return scratch_.data();
}

Index channels_in_cache(Index channels, const BatchShape& shape, std::size_t value_bytes) {
#if defined(_SC_LEVEL2_CACHE_SIZE) && defined(_SC_LEVEL3_CACHE_SIZE)
    static const Index own = cache_bytes(_SC_LEVEL2_CACHE_SIZE, Index{512} << 10);
    static const Index shared = cache_bytes(_SC_LEVEL3_CACHE_SIZE, Index{32} << 20);
#else
    constexpr Index own = Index{512} << 10, shared = Index{32} << 20;
#endif
    // Jumping from run to run costs more than it saves where the shared cache holds everything anyway, and
    // with several channels at a time. Rows of channels-last data cannot be cut without such jumps.
    if (shape.order == ChannelOrder::last || shape.spatial == 1) return channels;
    const Index channel = shape.values() * static_cast<Index>(value_bytes);
    return channel <= own && channel * channels > shared ? 1 : channels;
}

template <class Scalar>
void batch_moments(const Scalar* x, Index channels, const BatchShape& shape, ChannelRange range,
                   double* moments, KernelTeam* team) {
    if (shape.values() > 0)
        return active_table<Scalar>().batch_moments(x, channels, shape, range, moments, threads_of(team));
    const MomentsView<double> result{moments, channels};
    if (range.begin == 0) result.count() = 0;
    std::fill_n(result.mean() + range.begin, range.size(), 0.0);
    std::fill_n(result.m2() + range.begin, range.size(), 0.0);
}

template <class Scalar>
void normalize(const Scalar* x, Scalar* z, Index channels, const BatchShape& shape, ChannelRange range,
               const NormalizeCoefficients<Scalar>& coefficients, Activation activation, KernelTeam* team) {
    if (shape.values() > 0)
        active_table<Scalar>().normalize(x, z, channels, shape, range, coefficients, activation,
                                         threads_of(team));
}

template <class Scalar>
void gradient_sums(const Scalar* x, const Scalar* dz, Index channels, const BatchShape& shape,
                   ChannelRange range, const NormalizeCoefficients<Scalar>& forward, Activation activation,
                   double* sums, KernelTeam* team) {
    if (shape.values() > 0)
        return active_table<Scalar>().gradient_sums(x, dz, channels, shape, range, forward, activation, sums,
                                                    threads_of(team));
    std::fill_n(sums + range.begin, range.size(), 0.0);
    std::fill_n(sums + channels + range.begin, range.size(), 0.0);
}

template <class Scalar>
void input_gradient(const Scalar* x, const Scalar* dz, Scalar* dx, Index channels, const BatchShape& shape,
                    ChannelRange range, const InputGradientCoefficients<Scalar>& coefficients,
                    Activation activation, KernelTeam* team) {
    if (shape.values() > 0)
        active_table<Scalar>().input_gradient(x, dz, dx, channels, shape, range, coefficients, activation,
                                              threads_of(team));
}

#define LOCKSTEP_INSTANTIATE(Scalar)                                                                        \
    template LOCKSTEP_EXPORT void batch_moments(const Scalar*, Index, const BatchShape&, ChannelRange,      \
                                                double*, KernelTeam*);                                      \
    template LOCKSTEP_EXPORT void normalize(const Scalar*, Scalar*, Index, const BatchShape&, ChannelRange, \
                                            const NormalizeCoefficients<Scalar>&, Activation, KernelTeam*); \
    template LOCKSTEP_EXPORT void gradient_sums(const Scalar*, const Scalar*, Index, const BatchShape&,     \
                                                ChannelRange, const NormalizeCoefficients<Scalar>&,         \
                                                Activation, double*, KernelTeam*);                          \
    template LOCKSTEP_EXPORT void input_gradient(                                                           \
        const Scalar*, const Scalar*, Scalar*, Index, const BatchShape&, ChannelRange,                      \
        const InputGradientCoefficients<Scalar>&, Activation, KernelTeam*)

LOCKSTEP_INSTANTIATE(float);
LOCKSTEP_INSTANTIATE(double);
#undef LOCKSTEP_INSTANTIATE

}  // namespace lockstep
