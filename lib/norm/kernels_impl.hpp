/// The kernels, to be included by one source for each instruction set, which names the namespace
/// (LOCKSTEP_SET) and is compiled with the flags of that set. Nothing in here may leave a function behind
/// that another source could pick up: no inline function of the standard library is called.
#pragma once

#include "../simd/vector_pack.hpp"
#include "kernel_layout.hpp"
#include "kernel_maps.hpp"
#include "kernel_sums.hpp"
#include "kernel_table.hpp"

namespace lockstep::LOCKSTEP_SET {
namespace {

/// Where value i of n of a channel lies, channel 0's in the tensor.
inline Index offset_of_value(Index channels, const BatchShape& shape, Index i) {
    if (is_channels_last(shape)) return i * channels;
    return i / shape.spatial * channels * shape.spatial + i % shape.spatial;
}

/// The mean of four values from all over the batch: among normal values not two deviations off in 15,000
/// cases.
template <class Scalar>
void guess_means(const Scalar* x, Index channels, const BatchShape& shape, ChannelRange range,
                 Scalar* means) {
    const Index stride = is_channels_last(shape) ? 1 : shape.spatial;
    const Index values = shape.batch * shape.spatial;
    const Scalar half = Scalar(0.5);
    const Scalar* samples[4];
    for (Index i = 0; i < 4; ++i)
        samples[i] = x + offset_of_value(channels, shape, i * values / 4) + range.begin * stride;
    for (Index c = 0; c < range.end - range.begin; ++c) {
        const Index at = c * stride;
        // In this form exact where all four are alike.
        means[c] = half * (half * samples[0][at] + half * samples[1][at]) +
                   half * (half * samples[2][at] + half * samples[3][at]);
    }
}

template <class Terms, class Scalar>
void sums_of_channels(const Terms terms, Index channels, const BatchShape& shape, ChannelRange range,
                      const Columns<Terms, Scalar>& columns, double* first, double* second,
                      const KernelThreads& threads) {
    if (is_channels_last(shape))
        sums_channels_last(terms, channels, shape.batch * shape.spatial, range, columns, first, second,
                           threads);
    else
        sums_channels_first(terms, channels, shape, range, columns, first, second, threads);
}

/// Whether `shift` is more than two deviations from the mean: then Σ d² − (Σ d)²/n would cancel too much of
/// what was rounded.
inline bool is_far(double first, double m2, double count) {
    return first * first > 4 * count * m2;
}

/// From sums relative to `shift` (in place) to mean and M2. Returns how many channels had a shift too far
/// off.
template <class Scalar>
Index finish_moments(Index size, double count, const Scalar* shift, double* mean, double* m2) {
    const double share = 1 / count;
    Index far = 0;
    for (Index c = 0; c < size; ++c) {
        const double first = mean[c], squares = m2[c] - first * first * share;
        mean[c] = static_cast<double>(shift[c]) + first * share;
        m2[c] = squares < 0 ? 0 : squares;  // a NaN stays one
        far += is_far(first, squares, count) ? 1 : 0;
    }
    return far;
}

/// Once more, relative to the means that were found, for those channels whose guess was too far off.
template <class Scalar>
__attribute__((noinline)) Index improve_moments(const MomentTerms<Scalar> terms, Index channels,
                                                const BatchShape& shape, ChannelRange range, Scalar* shift,
                                                double* mean, double* m2, const KernelThreads& threads) {
    const auto count = static_cast<double>(shape.batch * shape.spatial);
    const Index size = range.end - range.begin;
    bool was_far[widest_tile];
    alignas(64) double first[widest_tile], second[widest_tile];
    for (Index c = 0; c < size; ++c) {
        const double distance = mean[c] - static_cast<double>(shift[c]);
        was_far[c] = distance * distance * count > 4 * m2[c];
        shift[c] = static_cast<Scalar>(mean[c]);
    }
    sums_of_channels(terms, channels, shape, range, Columns<MomentTerms<Scalar>, Scalar>{{shift}}, first,
                     second, threads);
    const Index far = finish_moments(size, count, shift, first, second);
    for (Index c = 0; c < size; ++c)
        if (was_far[c]) {
            mean[c] = first[c];
            m2[c] = second[c];
        }
    return far;
}

template <class Scalar>
void batch_moments(const Scalar* x, Index channels, const BatchShape& shape, ChannelRange range,
                   double* moments, const KernelThreads& threads) {
    const auto count = static_cast<double>(shape.batch * shape.spatial);
    if (range.begin == 0) moments[0] = count;
    alignas(64) Scalar shift[widest_tile];
    for (Index begin = range.begin; begin < range.end; begin += widest_tile) {
        const ChannelRange tile{begin, smaller(begin + widest_tile, range.end)};
        const Index size = tile.end - begin;
        double* const mean = moments + 1 + begin;
        double* const m2 = mean + channels;
        const MomentTerms<Scalar> terms{x};
        guess_means(x, channels, shape, tile, shift);
        sums_of_channels(terms, channels, shape, tile, Columns<MomentTerms<Scalar>, Scalar>{{shift}}, mean,
                         m2, threads);
        Index far = finish_moments(size, count, shift, mean, m2);
        // The second time is for guesses so bad that even the mean found with them is none.
        for (int attempt = 0; attempt < 2 && far > 0; ++attempt)
            far = improve_moments(terms, channels, shape, tile, shift, mean, m2, threads);
    }
}

template <class Terms, class Scalar>
void sums_of_gradients(const Terms terms, Index channels, const BatchShape& shape, ChannelRange range,
                       const Columns<Terms, Scalar>& columns, double* sums, const KernelThreads& threads) {
    for (Index begin = range.begin; begin < range.end; begin += widest_tile) {
        const ChannelRange tile{begin, smaller(begin + widest_tile, range.end)};
        sums_of_channels(terms, channels, shape, tile, columns.at(begin), sums + begin,
                         sums + channels + begin, threads);
    }
}

template <class Scalar>
void gradient_sums(const Scalar* x, const Scalar* dz, Index channels, const BatchShape& shape,
                   ChannelRange range, const NormalizeCoefficients<Scalar>& k, Activation activation,
                   double* sums, const KernelThreads& threads) {
    using Plain = GradientTerms<Scalar, Activation::none>;
    using Masked = GradientTerms<Scalar, Activation::relu>;
    if (activation == Activation::none)
        sums_of_gradients(Plain{x, dz}, channels, shape, range, Columns<Plain, Scalar>{{k.shift}}, sums,
                          threads);
    else
        sums_of_gradients(Masked{x, dz}, channels, shape, range,
                          Columns<Masked, Scalar>{{k.shift, k.scale, k.offset}}, sums, threads);
}

template <class Map, class Scalar>
void map_tensor(const Map map, Index channels, const BatchShape& shape, ChannelRange range,
                const Columns<Map, Scalar>& columns, const KernelThreads& threads) {
    if (is_channels_last(shape))
        map_channels_last(map, channels, shape.batch * shape.spatial, range, columns, threads);
    else
        map_channels_first(map, channels, shape, range, columns, threads);
}

template <class Scalar>
void normalize(const Scalar* x, Scalar* z, Index channels, const BatchShape& shape, ChannelRange range,
               const NormalizeCoefficients<Scalar>& k, Activation activation, const KernelThreads& threads) {
    const auto map = [&]<Activation given>() {
        using Map = NormalizeMap<Scalar, given>;
        map_tensor(Map{x, z}, channels, shape, range, Columns<Map, Scalar>{{k.shift, k.scale, k.offset}},
                   threads);
    };
    if (activation == Activation::none)
        map.template operator()<Activation::none>();
    else
        map.template operator()<Activation::relu>();
}

template <class Scalar>
void input_gradient(const Scalar* x, const Scalar* dz, Scalar* dx, Index channels, const BatchShape& shape,
                    ChannelRange range, const InputGradientCoefficients<Scalar>& k, Activation activation,
                    const KernelThreads& threads) {
    using Plain = InputGradientMap<Scalar, Activation::none>;
    using Masked = InputGradientMap<Scalar, Activation::relu>;
    if (activation == Activation::none)
        map_tensor(Plain{x, dz, dx}, channels, shape, range,
                   Columns<Plain, Scalar>{{k.forward.shift, k.gradient_scale, k.input_scale, k.offset}},
                   threads);
    else
        map_tensor(Masked{x, dz, dx}, channels, shape, range,
                   Columns<Masked, Scalar>{{k.forward.shift, k.gradient_scale, k.input_scale, k.offset,
                                            k.forward.scale, k.forward.offset}},
                   threads);
}

}  // namespace

}  // namespace lockstep::LOCKSTEP_SET

namespace lockstep {

// NOLINTBEGIN(misc-definitions-in-headers): one source for each set includes this
template <>
const KernelTable<float> Tables<KernelTable<float>>::LOCKSTEP_SET{
    LOCKSTEP_SET::batch_moments<float>, LOCKSTEP_SET::normalize<float>, LOCKSTEP_SET::gradient_sums<float>,
    LOCKSTEP_SET::input_gradient<float>};
template <>
const KernelTable<double> Tables<KernelTable<double>>::LOCKSTEP_SET{
    LOCKSTEP_SET::batch_moments<double>, LOCKSTEP_SET::normalize<double>, LOCKSTEP_SET::gradient_sums<double>,
    LOCKSTEP_SET::input_gradient<double>};
// NOLINTEND(misc-definitions-in-headers)

}  // namespace lockstep
