/// Turns images into dense samples, with the features in PyTorch's order: channel by channel.
///
/// Activations are channels-last, so an image of several channels and pixels is transposed; where either is
/// one, the two orders are the same and nothing moves.
#pragma once

#include <lockstep/nn/layer.hpp>

namespace lockstep {

template <class Scalar>
class LOCKSTEP_EXPORT Flatten final : public Layer<Scalar> {
  public:
    using typename Layer<Scalar>::Inputs;
    using typename Layer<Scalar>::Outputs;
    using typename Layer<Scalar>::BackwardPass;

    explicit Flatten(Shape input) : Layer<Scalar>(input, Shape::dense(input.size())) {}

    std::string kind() const override { return "flatten"; }
    void backward(const BackwardPass& pass) override;
    void infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const override;
    bool runs_in_place() const override {
        return this->input_shape().pixels() == 1 || this->input_shape().channels == 1;
    }
};

extern template class Flatten<float>;
extern template class Flatten<double>;

}  // namespace lockstep
