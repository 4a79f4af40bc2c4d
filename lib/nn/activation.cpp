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
    // Written so that a NaN stays one: a diverged run must not look like dead units.
    for (Index i = 0; i < x.size(); ++i) z.data[i] = x.data[i] < 0 ? Scalar(0) : x.data[i];
}

template <class Scalar>
void Relu<Scalar>::backward(const BackwardPass& pass) {
    if (done_before_) return;
    for (std::size_t r = 0; r < pass.dz.size(); ++r) {
        const Scalar* const z = pass.z[r].data;
        const Scalar* const dz = pass.dz[r].data;
        Scalar* const dx = pass.dx[r].data;
        if (dx == nullptr) continue;
        for (Index i = 0; i < pass.dz[r].size(); ++i) dx[i] = z[i] > 0 ? dz[i] : Scalar(0);
    }
}

template class Relu<float>;
template class Relu<double>;

}  // namespace lockstep
