#include <lockstep/nn/layer.hpp>

namespace lockstep {

template <class Scalar>
void Layer<Scalar>::place(ParameterLayout& layout, const std::string& prefix) {
    first_parameter_ = layout.parameter_values();
    const std::size_t before = layout.parameters().size();
    declare(layout, prefix);
    parameter_room_ = layout.parameter_values() - first_parameter_;
    parameters_ = 0;
    for (const ParameterInfo& info : layout.parameters().subspan(before)) parameters_ += info.size;
}
template <class Scalar>
void Layer<Scalar>::declare(ParameterLayout&, const std::string&) {}
template <class Scalar>
void Layer<Scalar>::bind(ParameterStore<Scalar>&) {}
template <class Scalar>
void Layer<Scalar>::initialize(std::uint64_t) {}
template <class Scalar>
void Layer<Scalar>::reserve(int, Index) {}
template <class Scalar>
void Layer<Scalar>::forward(const StepContext&, Inputs x, Outputs z) {
    for (std::size_t r = 0; r < x.size(); ++r) infer(x[r], z[r]);
}
template <class Scalar>
void Layer<Scalar>::collect_batch_norms(std::vector<BatchNorm<Scalar>*>&) {}
template <class Scalar>
bool Layer<Scalar>::absorb(const ChannelMap&, Side) {
    return false;
}
template <class Scalar>
void Layer<Scalar>::fold_batch_norms() {}

template class Layer<float>;
template class Layer<double>;

}  // namespace lockstep
