/// The loops of batch normalization over one replica's values. They know nothing of communication.
///
/// Forward:  moments → (merge over the statistics group) → normalize.
/// Backward: gradient_sums → (sum over the group) → input_gradient.
///
/// To lose nothing where the deviation is small against the mean, values are taken relative to a `shift` per
/// channel, the mean rounded to Scalar: x − shift is exact there, and what the rounding left over enters the
/// offset in double. So z = (x − shift)·scale + offset costs no more than the textbook's formula.
///
/// With Activation::relu normalize gives max(0, z), and the other two take dz for 0 where that is not
/// positive. They compute it anew from x and the coefficients that normalize had, which costs less than to
/// read it.
///
/// Squares are taken in Scalar: of floats that lie 10¹⁹ or more from the channel's mean they overflow, and the variance is
/// infinite.
///
/// Instantiated for float and double. All sums are in double, in an order that depends on the shape alone; the bits are
/// the same on every instruction set (see instruction_set.hpp) and with any team of threads (none: the calling one).
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/base/shape.hpp>
#include <lockstep/norm/kernel_team.hpp>

#include <cstddef>

namespace lockstep {

/// Where the channel index runs in memory.
enum class ChannelOrder {
    last,   ///< [batch][spatial][channels]
    first,  ///< [batch][channels][spatial]
};

/// What is applied to a normalized value; a NaN stays one.
enum class Activation { none, relu };

/// The extent of a mini-batch beside its channels. A channel has batch·spatial values; batch may be 0.
struct BatchShape {
    Index batch = 0;
    Index spatial = 1;
    ChannelOrder order = ChannelOrder::last;

    Index values() const { return batch * spatial; }

    friend bool operator==(const BatchShape&, const BatchShape&) = default;
};

/// Coefficients per channel, one array of `channels` values each, all owned by the caller.
template <class Scalar>
struct NormalizeCoefficients {
    const Scalar* shift;
    const Scalar* scale;
    const Scalar* offset;
};

template <class Scalar>
struct InputGradientCoefficients {
    NormalizeCoefficients<Scalar> forward;  ///< those of normalize; of Activation::none only the shift counts
    const Scalar* gradient_scale;           ///< of dz
    const Scalar* input_scale;              ///< of x − shift
    const Scalar* offset;
};

/// Channels [begin, end). The kernels read and write what belongs to these alone; pointers and strides are
/// those of all channels.
struct ChannelRange {
    Index begin;
    Index end;

    Index size() const { return end - begin; }
};

/// How many channels to take at a time, so that what a first kernel has read of them is still in the core's
/// own cache when a second one reads it again; all of them where the layout does not allow it. `value_bytes`
/// are read for each value of the batch. Ranges of that many channels give the same bits as all at once.
LOCKSTEP_EXPORT Index channels_in_cache(Index channels, const BatchShape& shape, std::size_t value_bytes);

/// Writes the moments of x (see moments.hpp; 1 + 2·channels doubles): the count with the range that begins at 0.
template <class Scalar>
LOCKSTEP_EXPORT void batch_moments(const Scalar* x, Index channels, const BatchShape& shape,
                                   ChannelRange range, double* moments, KernelTeam* team = nullptr);

/// z = (x − shift)·scale + offset; z may be x.
template <class Scalar>
LOCKSTEP_EXPORT void normalize(const Scalar* x, Scalar* z, Index channels, const BatchShape& shape,
                               ChannelRange range, const NormalizeCoefficients<Scalar>& coefficients,
                               Activation activation, KernelTeam* team = nullptr);

/// Writes Σ dz for all channels, then Σ dz·(x − shift) for all channels (2·channels doubles). Of the
/// coefficients Activation::none needs the shift alone.
template <class Scalar>
LOCKSTEP_EXPORT void gradient_sums(const Scalar* x, const Scalar* dz, Index channels, const BatchShape& shape,
                                   ChannelRange range, const NormalizeCoefficients<Scalar>& forward,
                                   Activation activation, double* sums, KernelTeam* team = nullptr);

/// dx = gradient_scale·dz + input_scale·(x − shift) + offset; dx may be dz or x.
template <class Scalar>
LOCKSTEP_EXPORT void input_gradient(const Scalar* x, const Scalar* dz, Scalar* dx, Index channels,
                                    const BatchShape& shape, ChannelRange range,
                                    const InputGradientCoefficients<Scalar>& coefficients,
                                    Activation activation, KernelTeam* team = nullptr);

/// The same for all channels.
template <class Scalar>
void batch_moments(const Scalar* x, Index channels, const BatchShape& shape, double* moments,
                   KernelTeam* team = nullptr) {
    batch_moments(x, channels, shape, {0, channels}, moments, team);
}
template <class Scalar>
void normalize(const Scalar* x, Scalar* z, Index channels, const BatchShape& shape,
               const NormalizeCoefficients<Scalar>& coefficients, Activation activation = Activation::none,
               KernelTeam* team = nullptr) {
    normalize(x, z, channels, shape, {0, channels}, coefficients, activation, team);
}
template <class Scalar>
void gradient_sums(const Scalar* x, const Scalar* dz, Index channels, const BatchShape& shape,
                   const NormalizeCoefficients<Scalar>& forward, Activation activation, double* sums,
                   KernelTeam* team = nullptr) {
    gradient_sums(x, dz, channels, shape, {0, channels}, forward, activation, sums, team);
}
template <class Scalar>
void input_gradient(const Scalar* x, const Scalar* dz, Scalar* dx, Index channels, const BatchShape& shape,
                    const InputGradientCoefficients<Scalar>& coefficients,
                    Activation activation = Activation::none, KernelTeam* team = nullptr) {
    input_gradient(x, dz, dx, channels, shape, {0, channels}, coefficients, activation, team);
}

}  // namespace lockstep
