/// The inner loops of convolution: products of small windows of an image with a matrix of weights.
///
/// An image is channels-last, so that each kernel row of a window is one contiguous run of columns·channels
/// values. The windows are multiplied where they lie, without being gathered into a matrix first (im2col): an
/// output pixel's channels are held in registers, several pixels at a time, while its window's values are
/// broadcast against rows of weights. Convolution and both of its gradients take this form.
///
/// Instantiated for float and double. The order of every sum depends on the extents alone.
#pragma once

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

/// The least whole number of vector registers that holds `channels` values, in values.
template <class Scalar>
Index padded_channels(Index channels);

/// output(pixel, channel) = bias[channel] + Σ over the window's values v: input(v)·weight[v][channel].
/// weight is [values][padded_channels(channels)]; bias has padded_channels(channels) values.
template <class Scalar>
void correlate(const Windows& windows, const Scalar* input, const Scalar* weight, const Scalar* bias,
               Index channels, Scalar* output);

/// sums[v][channel] += Σ over pixels: input(v)·output_gradient(pixel, channel). The output gradient has
/// padded_channels(channels) values for each pixel, and so has each row of sums.
template <class Scalar>
void add_weight_gradient(const Windows& windows, const Scalar* input, const Scalar* output_gradient,
                         Index channels, Scalar* sums);

}  // namespace lockstep
