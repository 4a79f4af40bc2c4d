/// A residual block: z = body(x) + shortcut(x) (He, Zhang, Ren, Sun: "Deep residual learning", 2016, arXiv
/// 1512.03385).
///
/// Where body keeps the shape the shortcut is the identity; else it is a 1×1 convolution with a stride and a
/// batch norm. A relu after the sum is a layer of its own. In PyTorch's terms:
///
///     class Residual(torch.nn.Module):
///         def __init__(self, body, shortcut=None):
///             super().__init__(); self.body, self.shortcut = body, shortcut
///         def forward(self, x):
///             return self.body(x) + (self.shortcut(x) if self.shortcut else x)
///
/// with body and shortcut each a torch.nn.Sequential: "3.body.0.weight", "3.shortcut.0.weight".
#pragma once

#include <lockstep/nn/sequence.hpp>

namespace lockstep {

template <class Scalar>
class LOCKSTEP_EXPORT Residual final : public Layer<Scalar> {
  public:
    using typename Layer<Scalar>::Inputs;
    using typename Layer<Scalar>::Outputs;
    using typename Layer<Scalar>::BackwardPass;

    /// `shortcut` may be null: the identity. Throws UsageError where the two ways do not end in the same
    /// shape.
    Residual(std::unique_ptr<Sequence<Scalar>> body, std::unique_ptr<Sequence<Scalar>> shortcut);

    std::string kind() const override { return "residual"; }
    void declare(ParameterLayout& layout, const std::string& prefix) override;
    void bind(ParameterStore<Scalar>& store) override;
    void initialize(std::uint64_t seed) override;
    void reserve(int replicas, Index batch) override;
    void forward(const StepContext& context, Inputs x, Outputs z) override;
    void backward(const BackwardPass& pass) override;
    void infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const override;
    void collect_batch_norms(std::vector<BatchNorm<Scalar>*>& list) override;
    void fold_batch_norms() override;

  private:
    /// Tensors of the hosted replicas with memory of their own.
    struct Buffers {
        std::vector<AlignedVector<Scalar>> storage;
        std::vector<Tensor<Scalar>> tensors;
        std::vector<Tensor<const Scalar>> const_tensors;

        void reserve(int replicas, Index batch, const Shape& shape);
        void set_batches(Inputs like);
    };

    std::unique_ptr<Sequence<Scalar>> body_, shortcut_;
    Buffers body_output_;      // used where body needs its output in backward: z holds the sum
    Buffers shortcut_output_;  // used where there is a shortcut
    Buffers shortcut_gradient_;
};

extern template class Residual<float>;
extern template class Residual<double>;

}  // namespace lockstep
