#include <lockstep/norm/kernels.hpp>
#include <lockstep/norm/moments.hpp>

#include <algorithm>

namespace lockstep {
namespace {

/// Channels whose accumulators are kept in the innermost cache at a time.
constexpr Index channel_tile = 128;
/// Independent partial sums over a contiguous run: enough to hide the latency of an addition.
constexpr Index lanes = 16;

/// Calls body(first, count) for tiles of the channels.
template <class Body>
void for_channel_tiles(Index channels, Body body) {
    for (Index first = 0; first < channels; first += channel_tile)
        body(first, std::min(channel_tile, channels - first));
}

/// The two sums of one contiguous run, always in the same order: `lanes` partial sums, then one after the
/// other.
template <class Term>
void add_run(Index count, Term term, double& first_sum, double& second_sum) {
    double first[lanes] = {}, second[lanes] = {};
    Index i = 0;
    for (; i + lanes <= count; i += lanes)
        for (Index lane = 0; lane < lanes; ++lane) term(i + lane, first[lane], second[lane]);
    for (Index lane = 0; i + lane < count; ++lane) term(i + lane, first[lane], second[lane]);
    for (Index lane = 0; lane < lanes; ++lane) {
        first_sum += first[lane];
        second_sum += second[lane];
    }
}

/// Σ d and Σ d² of d = x − shift, with the first value of each channel as the shift: it is among the values,
/// so its distance from the mean is at most √n deviations, and Σ d² − (Σ d)²/n keeps all but n·2⁻⁵³ of its
/// digits.
template <class Scalar>
void shifted_sums(const Scalar* x, Index channels, const BatchShape& shape, double* first, double* second) {
    std::fill_n(first, channels, 0.0);
    std::fill_n(second, channels, 0.0);
    if (shape.order == ChannelOrder::last) {
        for_channel_tiles(channels, [&](Index begin, Index count) {
            const Scalar* const shift = x + begin;
            double* const s1 = first + begin;
            double* const s2 = second + begin;
            for (Index row = 0; row < shape.values(); ++row) {
                const Scalar* const values = x + row * channels + begin;
                for (Index c = 0; c < count; ++c) {
                    const double d = static_cast<double>(values[c]) - static_cast<double>(shift[c]);
                    s1[c] += d;
                    s2[c] += d * d;
                }
            }
        });
        return;
    }
    for (Index sample = 0; sample < shape.batch; ++sample)
        for (Index c = 0; c < channels; ++c) {
            const Scalar* const run = x + (sample * channels + c) * shape.spatial;
            const auto shift = static_cast<double>(x[c * shape.spatial]);
            add_run(
                shape.spatial,
                [&](Index i, double& s1, double& s2) {
                    const double d = static_cast<double>(run[i]) - shift;
                    s1 += d;
                    s2 += d * d;
                },
                first[c], second[c]);
        }
}

}  // namespace

template <class Scalar>
void batch_moments(const Scalar* x, Index channels, const BatchShape& shape, double* moments) {
    const MomentsView<double> result{moments, channels};
    const Index values = shape.values();
    result.count() = static_cast<double>(values);
    if (values == 0) {
        std::fill_n(result.mean(), 2 * channels, 0.0);
        return;
    }
    shifted_sums(x, channels, shape, result.mean(), result.m2());
    const Index stride = shape.order == ChannelOrder::last ? 1 : shape.spatial;
    const double count = result.count();
    for (Index c = 0; c < channels; ++c) {
        const double s1 = result.mean()[c], s2 = result.m2()[c];
        result.mean()[c] = static_cast<double>(x[c * stride]) + s1 / count;
        // In this order of arguments a NaN stays one.
        result.m2()[c] = std::max(s2 - s1 * s1 / count, 0.0);
    }
}

template <class Scalar>
void normalize(const Scalar* x, Scalar* z, Index channels, const BatchShape& shape,
               const NormalizeCoefficients<Scalar>& k) {
    if (shape.order == ChannelOrder::last) {
        for (Index row = 0; row < shape.values(); ++row) {
            const Scalar* const in = x + row * channels;
            Scalar* const out = z + row * channels;
            for (Index c = 0; c < channels; ++c) out[c] = (in[c] - k.shift[c]) * k.scale[c] + k.offset[c];
        }
        return;
    }
    for (Index run = 0; run < shape.batch * channels; ++run) {
        const Index c = run % channels;
        const Scalar shift = k.shift[c], scale = k.scale[c], offset = k.offset[c];
        const Scalar* const in = x + run * shape.spatial;
        Scalar* const out = z + run * shape.spatial;
        for (Index i = 0; i < shape.spatial; ++i) out[i] = (in[i] - shift) * scale + offset;
    }
}

template <class Scalar>
void gradient_sums(const Scalar* x, const Scalar* dz, Index channels, const BatchShape& shape,
                   const Scalar* shift, double* sums) {
    std::fill_n(sums, 2 * channels, 0.0);
    if (shape.order == ChannelOrder::last) {
        for_channel_tiles(channels, [&](Index begin, Index count) {
            double* const s1 = sums + begin;
            double* const s2 = sums + channels + begin;
            for (Index row = 0; row < shape.values(); ++row) {
                const Scalar* const values = x + row * channels + begin;
                const Scalar* const gradients = dz + row * channels + begin;
                for (Index c = 0; c < count; ++c) {
                    const auto gradient = static_cast<double>(gradients[c]);
                    s1[c] += gradient;
                    s2[c] += gradient * static_cast<double>(values[c] - shift[begin + c]);
                }
            }
        });
        return;
    }
    for (Index run = 0; run < shape.batch * channels; ++run) {
        const Index c = run % channels;
        const Scalar* const values = x + run * shape.spatial;
        const Scalar* const gradients = dz + run * shape.spatial;
        add_run(
            shape.spatial,
            [&](Index i, double& s1, double& s2) {
                const auto gradient = static_cast<double>(gradients[i]);
                s1 += gradient;
                s2 += gradient * static_cast<double>(values[i] - shift[c]);
            },
            sums[c], sums[channels + c]);
    }
}

template <class Scalar>
void input_gradient(const Scalar* x, const Scalar* dz, Scalar* dx, Index channels, const BatchShape& shape,
                    const InputGradientCoefficients<Scalar>& k) {
    if (shape.order == ChannelOrder::last) {
        for (Index row = 0; row < shape.values(); ++row) {
            const Scalar* const in = x + row * channels;
            const Scalar* const gradient = dz + row * channels;
            Scalar* const out = dx + row * channels;
            for (Index c = 0; c < channels; ++c)
                out[c] =
                    k.gradient_scale[c] * gradient[c] + k.input_scale[c] * (in[c] - k.shift[c]) + k.offset[c];
        }
        return;
    }
    for (Index run = 0; run < shape.batch * channels; ++run) {
        const Index c = run % channels;
        const Scalar shift = k.shift[c], gradient_scale = k.gradient_scale[c], input_scale = k.input_scale[c],
                     offset = k.offset[c];
        const Scalar* const in = x + run * shape.spatial;
        const Scalar* const gradient = dz + run * shape.spatial;
        Scalar* const out = dx + run * shape.spatial;
        for (Index i = 0; i < shape.spatial; ++i)
            out[i] = gradient_scale * gradient[i] + input_scale * (in[i] - shift) + offset;
    }
}

#define LOCKSTEP_INSTANTIATE(Scalar)                                                                    \
    template LOCKSTEP_EXPORT void batch_moments(const Scalar*, Index, const BatchShape&, double*);      \
    template LOCKSTEP_EXPORT void normalize(const Scalar*, Scalar*, Index, const BatchShape&,           \
                                            const NormalizeCoefficients<Scalar>&);                      \
    template LOCKSTEP_EXPORT void gradient_sums(const Scalar*, const Scalar*, Index, const BatchShape&, \
                                                const Scalar*, double*);                                \
    template LOCKSTEP_EXPORT void input_gradient(const Scalar*, const Scalar*, Scalar*, Index,          \
                                                 const BatchShape&,                                     \
                                                 const InputGradientCoefficients<Scalar>&)

LOCKSTEP_INSTANTIATE(float);
LOCKSTEP_INSTANTIATE(double);
#undef LOCKSTEP_INSTANTIATE

}  // namespace lockstep
