#include "matrix_view.hpp"

#include <lockstep/nn/flatten.hpp>

namespace lockstep {

template <class Scalar>
void Flatten<Scalar>::forward(const StepContext&, Inputs x, Outputs z) {
    for (std::size_t r = 0; r < x.size(); ++r) infer(x[r], z[r]);
}

template <class Scalar>
void Flatten<Scalar>::infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const {
    if (x.data == z.data) return;
    const Index channels = this->input_shape().channels, pixels = this->input_shape().pixels();
    for (Index sample = 0; sample < x.batch; ++sample)
        view(z.data + sample * channels * pixels, pixels, channels) =
            view(x.data + sample * channels * pixels, channels, pixels).transpose();
}

template <class Scalar>
void Flatten<Scalar>::backward(const BackwardPass& pass) {
    const Index channels = this->input_shape().channels, pixels = this->input_shape().pixels();
    for (std::size_t r = 0; r < pass.dz.size(); ++r) {
        const auto& dz = pass.dz[r];
        const auto& dx = pass.dx[r];
        if (dx.data == nullptr || dx.data == dz.data) continue;
        for (Index sample = 0; sample < dz.batch; ++sample)
            view(dx.data + sample * channels * pixels, channels, pixels) =
                view(dz.data + sample * channels * pixels, pixels, channels).transpose();
    }
}

template class Flatten<float>;
template class Flatten<double>;

}  // namespace lockstep
