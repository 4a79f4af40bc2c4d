#include "../simd/elementwise.hpp"

#include <lockstep/nn/activation.hpp>

namespace lockstep {

template <class Scalar>
auto Relu<Scalar>::done_by_layer_before(Shape shape) -> std::unique_ptr<Relu> {
    auto relu = std::make_unique<Relu>(shape);
    relu->done_before_ = true;
    return relu;
}

template <class Scalar>
void Relu<Scalar>::forward(const StepContext&, Inputs x, Outputs z) {
    if (done_before_) return;
    for (std::size_t r = 0; r < x.size(); ++r) infer(x[r], z[r]);
}

template <class Scalar>
void Relu<Scalar>::infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const {
    elementwise<Scalar>().rectify(x.data, z.data, x.size());
}

template <class Scalar>
void Relu<Scalar>::backward(const BackwardPass& pass) {
    if (done_before_) return;
    for (std::size_t r = 0; r < pass.dz.size(); ++r) {
        const auto& dz = pass.dz[r];
        Scalar* const dx = pass.dx[r].data;
        if (dx != nullptr) elementwise<Scalar>().rectify_gradient(pass.z[r].data, dz.data, dx, dz.size());
    }
}

template class Relu<float>;
template class Relu<double>;

}  // namespace lockstep
