/// The dense layer: z = W·x + b. Backward: dW = dz·xᵀ, db = Σ dz, dx = Wᵀ·dz.
#pragma once

#include <lockstep/nn/layer.hpp>

namespace lockstep {

/// W is stored as PyTorch does, [out][in]. He initialization: W ~ N(0, 2/in), b = 0.
template <class Scalar>
class LOCKSTEP_EXPORT Linear final : public Layer<Scalar> {
  public:
    using typename Layer<Scalar>::Inputs;
    using typename Layer<Scalar>::Outputs;
    using typename Layer<Scalar>::BackwardPass;
    using typename Layer<Scalar>::Side;

    /// The input is flattened.
    Linear(Shape input, Index outputs);

    std::string kind() const override { return "linear"; }
    void declare(ParameterLayout& layout, const std::string& prefix) override;
    void bind(ParameterStore<Scalar>& store) override;
    void initialize(std::uint64_t seed) override;
    void backward(const BackwardPass& pass) override;
    void infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const override;
    bool absorb(const ChannelMap& map, Side side) override;

  private:
    Index inputs() const { return this->input_shape().size(); }
    Index outputs() const { return this->output_shape().size(); }

    Index weight_offset_ = 0, bias_offset_ = 0;
    Scalar* weight_ = nullptr;  // [out][in]
    Scalar* bias_ = nullptr;    // [out]
};

extern template class Linear<float>;
extern template class Linear<double>;

}  // namespace lockstep
