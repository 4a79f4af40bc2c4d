#include <lockstep/nn/pooling.hpp>

#include "../simd/elementwise.hpp"
#include "pooling_loops.hpp"
#include "window_pixels.hpp"

#include <lockstep/base/error.hpp>

#include <algorithm>

namespace lockstep {
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
    for (std::size_t r = 0; r < x.size(); ++r)
        pooling_loops<Scalar>().maximum({x[r].shape, z[r].shape, options_, x[r].batch}, x[r].data, z[r].data,
                                        winners_[r].data());
}

template <class Scalar>
void MaxPool<Scalar>::infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const {
    pooling_loops<Scalar>().maximum({x.shape, z.shape, options_, x.batch}, x.data, z.data, nullptr);
}

template <class Scalar>
void MaxPool<Scalar>::backward(const BackwardPass& pass) {
    for (std::size_t r = 0; r < pass.dz.size(); ++r) {
        const auto& dz = pass.dz[r];
        const auto& dx = pass.dx[r];
        if (dx.data == nullptr) continue;
        std::fill_n(dx.data, dx.size(), Scalar(0));
        pooling_loops<Scalar>().add_to_winners({dx.shape, dz.shape, options_, dz.batch}, winners_[r].data(),
                                               dz.data, dx.data);
    }
}

template <class Scalar>
void AveragePool<Scalar>::infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const {
    const Index channels = this->input_shape().channels;
    std::fill_n(z.data, z.size(), Scalar(0));
    for_each_window_pixel(x.shape, z.shape, options_, x.batch, [&](Index from, Index to, Index) {
        elementwise<Scalar>().add(z.data + to, z.data + to, x.data + from, channels);
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
void GlobalAveragePool<Scalar>::infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const {
    const Index channels = this->input_shape().channels, pixels = this->input_shape().pixels();
    const auto scale = Scalar(1) / static_cast<Scalar>(pixels);
    for (Index sample = 0; sample < x.batch; ++sample) {
        Scalar* const mean = z.data + sample * channels;
        elementwise<Scalar>().sum_rows(x.data + sample * pixels * channels, mean, pixels, channels);
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
