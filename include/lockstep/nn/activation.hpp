/// The rectifier: z = max(x, 0). Backward: dx = dz where z > 0, else 0. After a batch norm, which can do both
/// on its way, it has nothing left to do.
#pragma once

#include <lockstep/nn/layer.hpp>

#include <memory>

namespace lockstep {

template <class Scalar>
class LOCKSTEP_EXPORT Relu final : public Layer<Scalar> {
  public:
    using typename Layer<Scalar>::Inputs;
    using typename Layer<Scalar>::Outputs;
    using typename Layer<Scalar>::BackwardPass;

    explicit Relu(Shape shape) : Layer<Scalar>(shape, shape) {}
    /// One whose work the layer before it does: both must write to the same memory, as a Sequence makes them
    /// where this is not its last layer.
    static std::unique_ptr<Relu> done_by_layer_before(Shape shape);

    std::string kind() const override { return "relu"; }
    void forward(const StepContext& context, Inputs x, Outputs z) override;
    void backward(const BackwardPass& pass) override;
    void infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const override;
    bool runs_in_place() const override { return true; }
    bool needs_output() const override { return !done_before_; }

  private:
    bool done_before_ = false;
};

extern template class Relu<float>;
extern template class Relu<double>;

}  // namespace lockstep
