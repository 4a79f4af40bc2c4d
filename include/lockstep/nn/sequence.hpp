/// Layers one after the other, and the activations between them.
#pragma once

#include <lockstep/base/aligned_vector.hpp>
#include <lockstep/nn/layer.hpp>

#include <memory>
#include <string>
#include <vector>

namespace lockstep {

/// Layers [begin, end) of a sequence.
struct LayerRange {
    std::size_t begin = 0, end = 0;
};

/// A layer made of layers. Owns them and the buffers between them; allocates in reserve, not in passes.
template <class Scalar>
class LOCKSTEP_EXPORT Sequence final : public Layer<Scalar> {
  public:
    using typename Layer<Scalar>::Inputs;
    using typename Layer<Scalar>::Outputs;
    using typename Layer<Scalar>::BackwardPass;

    /// At least one layer; each takes the shape that the one before it gives. A relu between a batch norm and
    /// another layer becomes part of the batch norm's passes, with the same bits. Throws UsageError.
    explicit Sequence(std::vector<std::unique_ptr<Layer<Scalar>>> layers);

    std::size_t size() const { return layers_.size(); }
    const Layer<Scalar>& layer(std::size_t i) const { return *layers_[i]; }

    /// The first layers whose output of the last forward, `z` for the last layer, holds a value that is not finite:
    /// mostly one, but layers that write over their input cannot be told apart. Begins at size() if there is none.
    LayerRange first_not_finite(Inputs z) const;

    std::string kind() const override { return "sequence"; }
    /// Layer i is named `prefix`i. as in torch.nn.Sequential.
    void declare(ParameterLayout& layout, const std::string& prefix) override;
    void bind(ParameterStore<Scalar>& store) override;
    void initialize(std::uint64_t seed) override;
    void reserve(int replicas, Index batch) override;
    void forward(const StepContext& context, Inputs x, Outputs z) override;
    void backward(const BackwardPass& pass) override;
    void infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const override;
    bool needs_output() const override { return layers_.back()->needs_output(); }
    void collect_batch_norms(std::vector<BatchNorm<Scalar>*>& list) override;
    void fold_batch_norms() override;

  private:
    void fuse_batch_norm_and_relu();
    bool is_relu(std::size_t i) const;
    /// Into the layer before it or else behind it, if layer i is a batch norm: then it is gone.
    bool fold_layer(std::size_t i);
    /// Whether layer i writes its output over its input.
    bool overwrites_input(std::size_t i) const;
    void set_batches(Inputs x);

    std::vector<std::unique_ptr<Layer<Scalar>>> layers_;
    std::vector<AlignedVector<Scalar>> storage_;
    // Between layer i and i + 1, for each replica: what layer i gives.
    std::vector<std::vector<Tensor<Scalar>>> outputs_;
    std::vector<std::vector<Tensor<const Scalar>>> const_outputs_;
    // Gradients travel backwards through two buffers for each replica, in turns.
    std::vector<Tensor<Scalar>> gradients_[2];
    std::vector<Tensor<const Scalar>> const_gradients_[2];
};

extern template class Sequence<float>;
extern template class Sequence<double>;

}  // namespace lockstep
