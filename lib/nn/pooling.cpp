#include <lockstep/base/error.hpp>
#include <lockstep/nn/pooling.hpp>

#include <algorithm>
#include <cmath>

namespace lockstep {
namespace {

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

/// Calls take(candidate, largest so far, output value, number in the window, first) for every pixel of every
/// window; the first of a window is the one that the others have to beat.
template <class Scalar, class Take>
void max_pool(const Tensor<const Scalar>& x, const Tensor<Scalar>& z, const PoolOptions& options, Take take) {
    Index started = -1;  // the output whose window has been entered
    for_each_window_pixel(x.shape, z.shape, options, x.batch, [&](Index from, Index to, Index number) {
        take(x.data + from, z.data + to, to, number, to != started);
        started = to;
    });
}

/// dx += dz where `number` has won. The arrays do not overlap; told so, the compiler vectorizes the loop.
template <class Scalar>
void add_where_won(const std::uint16_t* __restrict winner, std::uint16_t number, const Scalar* __restrict dz,
                   Scalar* __restrict dx, Index channels) {
    for (Index c = 0; c < channels; ++c) dx[c] += winner[c] == number ? dz[c] : Scalar(0);
}

/// Lets a candidate win where it is larger than the largest so far, or the first that is not a number: a
/// diverged run must show, as it does in PyTorch.
template <class Scalar>
void challenge(const Scalar* __restrict candidate, std::uint16_t number, Scalar* __restrict largest,
               std::uint16_t* __restrict winner, Index channels) {
    for (Index c = 0; c < channels; ++c) {
        const bool wins = !(candidate[c] <= largest[c]) & !std::isnan(largest[c]);
        largest[c] = wins ? candidate[c] : largest[c];
        winner[c] = wins ? number : winner[c];
    }
}

}  // namespace

Shape pooled_shape(const Shape& input, const PoolOptions& options) {
    if (options.kernel_height < 1 || options.kernel_width < 1 || options.stride < 1 || options.pad < 0)
        throw UsageError("pooling: window and stride must be at least 1 and the pad at least 0");
    if (2 * options.pad > std::min(options.kernel_height, options.kernel_width))
        throw UsageError("pooling: the pad must not be more than half the window");
    const Index height = input.height + 2 * options.pad - options.kernel_height;
    const Index width = input.width + 2 * options.pad - options.kernel_width;
    if (height < 0 || width < 0)
        throw UsageError("pooling: the window is larger than the image of " + input.to_string() +
                         " and its pad");
    return {height / options.stride + 1, width / options.stride + 1, input.channels};
}

template <class Scalar>
void MaxPool<Scalar>::reserve(int replicas, Index batch) {
    winners_.assign(
        static_cast<std::size_t>(replicas),
        std::vector<std::uint16_t>(static_cast<std::size_t>(batch * this->output_shape().size())));
}

template <class Scalar>
void MaxPool<Scalar>::forward(const StepContext&, Inputs x, Outputs z) {
    const Index channels = this->input_shape().channels;
    for (std::size_t r = 0; r < x.size(); ++r)
        max_pool(x[r], z[r], options_,
                 [&](const Scalar* candidate, Scalar* largest, Index to, Index number, bool first) {
                     std::uint16_t* const winner = winners_[r].data() + to;
                     const auto position = static_cast<std::uint16_t>(number);
                     if (first) {
                         std::copy_n(candidate, channels, largest);
                         std::fill_n(winner, channels, position);
                         return;
                     }
                     challenge(candidate, position, largest, winner, channels);
                 });
}

template <class Scalar>
void MaxPool<Scalar>::infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const {
    const Index channels = this->input_shape().channels;
    max_pool(x, z, options_, [&](const Scalar* candidate, Scalar* largest, Index, Index, bool first) {
        if (first) {
            std::copy_n(candidate, channels, largest);
            return;
        }
        for (Index c = 0; c < channels; ++c)
            largest[c] = !(candidate[c] <= largest[c]) && !std::isnan(largest[c]) ? candidate[c] : largest[c];
    });
}

template <class Scalar>
void MaxPool<Scalar>::backward(const BackwardPass& pass) {
    const Index channels = this->input_shape().channels;
    for (std::size_t r = 0; r < pass.dz.size(); ++r) {
        const auto& dz = pass.dz[r];
        const auto& dx = pass.dx[r];
        if (dx.data == nullptr) continue;
        std::fill_n(dx.data, dx.size(), Scalar(0));
        for_each_window_pixel(dx.shape, dz.shape, options_, dz.batch,
                              [&](Index from, Index to, Index number) {
                                  add_where_won(winners_[r].data() + to, static_cast<std::uint16_t>(number),
                                                dz.data + to, dx.data + from, channels);
                              });
    }
}

template <class Scalar>
void AveragePool<Scalar>::forward(const StepContext&, Inputs x, Outputs z) {
    for (std::size_t r = 0; r < x.size(); ++r) infer(x[r], z[r]);
}

template <class Scalar>
void AveragePool<Scalar>::infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const {
    const Index channels = this->input_shape().channels;
    std::fill_n(z.data, z.size(), Scalar(0));
    for_each_window_pixel(x.shape, z.shape, options_, x.batch, [&](Index from, Index to, Index) {
        for (Index c = 0; c < channels; ++c) z.data[to + c] += x.data[from + c];
    });
    const auto scale = Scalar(1) / static_cast<Scalar>(options_.kernel_height * options_.kernel_width);
    for (Index i = 0; i < z.size(); ++i) z.data[i] *= scale;
}

template <class Scalar>
void AveragePool<Scalar>::backward(const BackwardPass& pass) {
    const Index channels = this->input_shape().channels;
    const auto scale = Scalar(1) / static_cast<Scalar>(options_.kernel_height * options_.kernel_width);
    for (std::size_t r = 0; r < pass.dz.size(); ++r) {
        const auto& dz = pass.dz[r];
        const auto& dx = pass.dx[r];
        if (dx.data == nullptr) continue;
        std::fill_n(dx.data, dx.size(), Scalar(0));
        for_each_window_pixel(dx.shape, dz.shape, options_, dz.batch, [&](Index from, Index to, Index) {
            for (Index c = 0; c < channels; ++c) dx.data[from + c] += scale * dz.data[to + c];
        });
    }
}

template <class Scalar>
void GlobalAveragePool<Scalar>::forward(const StepContext&, Inputs x, Outputs z) {
    for (std::size_t r = 0; r < x.size(); ++r) infer(x[r], z[r]);
}

template <class Scalar>
void GlobalAveragePool<Scalar>::infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const {
    const Index channels = this->input_shape().channels, pixels = this->input_shape().pixels();
    const auto scale = Scalar(1) / static_cast<Scalar>(pixels);
    for (Index sample = 0; sample < x.batch; ++sample) {
        Scalar* const mean = z.data + sample * channels;
        std::fill_n(mean, channels, Scalar(0));
        for (Index pixel = sample * pixels; pixel < (sample + 1) * pixels; ++pixel)
            for (Index c = 0; c < channels; ++c) mean[c] += x.data[pixel * channels + c];
        for (Index c = 0; c < channels; ++c) mean[c] *= scale;
    }
}

template <class Scalar>
void GlobalAveragePool<Scalar>::backward(const BackwardPass& pass) {
    const Index channels = this->input_shape().channels, pixels = this->input_shape().pixels();
    const auto scale = Scalar(1) / static_cast<Scalar>(pixels);
    for (std::size_t r = 0; r < pass.dz.size(); ++r) {
        if (pass.dx[r].data == nullptr) continue;
        for (Index pixel = 0; pixel < pass.dz[r].batch * pixels; ++pixel)
            for (Index c = 0; c < channels; ++c)
                pass.dx[r].data[pixel * channels + c] =
                    scale * pass.dz[r].data[pixel / pixels * channels + c];
    }
}

#define LOCKSTEP_INSTANTIATE(Scalar)    \
    template class MaxPool<Scalar>;     \
    template class AveragePool<Scalar>; \
    template class GlobalAveragePool<Scalar>

LOCKSTEP_INSTANTIATE(float);
LOCKSTEP_INSTANTIATE(double);
#undef LOCKSTEP_INSTANTIATE

}  // namespace lockstep
