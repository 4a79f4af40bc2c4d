/// The rectifier: z = max(x, 0). Backward: dx = dz where z > 0, else 0.
#pragma once

#include <lockstep/nn/layer.hpp>

namespace lockstep {

template <class Scalar>
class LOCKSTEP_EXPORT Relu final : public Layer<Scalar> {
  public:
    using typename Layer<Scalar>::Inputs;
    using typename Layer<Scalar>::Outputs;
    using typename Layer<Scalar>::BackwardPass;

    explicit Relu(Shape shape) : Layer<Scalar>(shape, shape) {}

    std::string kind() const override { return "relu"; }
    void forward(const StepContext& context, Inputs x, Outputs z) override;
    void backward(const BackwardPass& pass) override;
    void infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const override;
    bool runs_in_place() const override { return true; }
    bool needs_output() const override { return true; }
};

extern template class Relu<float>;
extern template class Relu<double>;

}  // namespace lockstep
