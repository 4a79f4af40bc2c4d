/// The inner loops of convolution: products of small windows of an image with a matrix of weights.
///
/// An image is channels-last, so that each kernel row of a window is one contiguous run of columns·channels
/// values. The windows are multiplied where they lie, without being gathered into a matrix first (im2col): an
/// output pixel's channels are held in registers, several pixels at a time, while its window's values are
/// broadcast against rows of weights. Convolution and both of its gradients take this form.
///
/// For float and double, and for the instruction set that the process uses when a layer is built. The order of every
/// sum depends on the extents alone; AVX2 and AVX-512 give the same bits, because both fuse multiply and add and a
/// channel stays in its lane. The portable ones, where the baseline fuses nothing, give others.
#pragma once

#include "../simd/tables.hpp"

#include <lockstep/base/shape.hpp>

namespace lockstep {

/// Which windows belong to which output pixels. Steps and pitches count values, not pixels.
struct Windows {
    Index rows = 0, columns = 0;                      ///< of output pixels
    Index runs = 0, run = 0;                          ///< a window: `runs` runs of `run` values
    Index run_pitch = 0;                              ///< from one run to the next
    Index input_row_step = 0, input_column_step = 0;  ///< from one pixel's window to the next one's
    Index output_row_step = 0, output_column_step = 0;

    Index values() const { return runs * run; }
};

template <class Scalar>
struct Convolutions {
    int lanes;  ///< values in a vector register

    /// output(pixel, channel) = bias[channel] + Σ over the window's values v: input(v)·weight[v][channel].
    /// weight is [values][padded(channels)]; bias has padded(channels) values.
    void (*correlate)(const Windows& windows, const Scalar* input, const Scalar* weight, const Scalar* bias,
                      Index channels, Scalar* output);

    /// sums[v][channel] += Σ over pixels: input(v)·output_gradient(pixel, channel). The output gradient has
    /// padded(channels) values for each pixel, and so has each row of sums.
    void (*add_weight_gradient)(const Windows& windows, const Scalar* input, const Scalar* output_gradient,
                                Index channels, Scalar* sums);

    /// The least whole number of vector registers that holds `channels` values, in values.
    Index padded(Index channels) const { return (channels + lanes - 1) / lanes * lanes; }
};

LOCKSTEP_DECLARE_TABLES(Convolutions<float>);
LOCKSTEP_DECLARE_TABLES(Convolutions<double>);

/// Those with the bits of product_instruction_set(): of the sets that have them, the widest that may be used.
template <class Scalar>
const Convolutions<Scalar>& convolutions() {
    const InstructionSet products = product_instruction_set();
    return table_for<Convolutions<Scalar>>(products == InstructionSet::portable ? products
                                                                                : active_instruction_set());
}

}  // namespace lockstep
