/// Dropout: in training each value is zeroed with probability p, the others grow by 1/(1 − p); in evaluation
/// nothing happens (Srivastava et al., JMLR 15, 2014).
#pragma once

#include <lockstep/nn/layer.hpp>

#include <cstdint>
#include <vector>

namespace lockstep {

/// What is dropped is a function of (seed, step, layer, position in the global batch), whoever computes it.
template <class Scalar>
class LOCKSTEP_EXPORT Dropout final : public Layer<Scalar> {
  public:
    using typename Layer<Scalar>::Inputs;
    using typename Layer<Scalar>::Outputs;
    using typename Layer<Scalar>::BackwardPass;

    /// `number` tells the dropouts of one network apart. Throws UsageError unless 0 ≤ probability < 1.
    Dropout(Shape shape, double probability, int number);

    std::string kind() const override { return "dropout"; }
    void reserve(int replicas, Index batch) override;
    void forward(const StepContext& context, Inputs x, Outputs z) override;
    void backward(const BackwardPass& pass) override;
    void infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const override;
    bool runs_in_place() const override { return true; }

  private:
    double probability_;
    Scalar scale_;
    int number_;
    std::vector<std::vector<std::uint8_t>> kept_;  // by hosted replica
};

extern template class Dropout<float>;
extern template class Dropout<double>;

}  // namespace lockstep
