/// The pixels of the windows of a pooling layer.
#pragma once

#include <lockstep/nn/pooling.hpp>

namespace lockstep {
namespace {  // sources for several instruction sets include this

/// Calls visit(input value, output value, number in the window) for every pixel of every window that lies in
/// the image; the values are those of channel 0. Windows come row by row, and so do the pixels in each.
template <class Visit>
void for_each_window_pixel(const Shape& input, const Shape& output, const PoolOptions& options, Index batch,
                           Visit visit) {
    for (Index sample = 0, to = 0; sample < batch; ++sample)
        for (Index row = 0; row < output.height; ++row)
            for (Index column = 0; column < output.width; ++column, to += output.channels)
                for (Index i = 0; i < options.kernel_height; ++i) {
                    const Index y = row * options.stride + i - options.pad;
                    if (y < 0 || y >= input.height) continue;
                    for (Index j = 0; j < options.kernel_width; ++j) {
                        const Index x = column * options.stride + j - options.pad;
                        if (x < 0 || x >= input.width) continue;
                        visit(((sample * input.height + y) * input.width + x) * input.channels, to,
                              i * options.kernel_width + j);
                    }
                }
}

}  // namespace
}  // namespace lockstep
