/// A network: layers over one flat store of parameters, for all replicas that live on a rank.
#pragma once

#include <lockstep/base/aligned_vector.hpp>
#include <lockstep/base/export.hpp>
#include <lockstep/nn/batch_norm.hpp>
#include <lockstep/nn/model.hpp>
#include <lockstep/nn/parameters.hpp>
#include <lockstep/nn/sequence.hpp>

#include <memory>
#include <span>
#include <vector>

namespace lockstep {

/// Owns layers, parameters, running averages, gradients and activations. Instantiated for float and double.
///
/// Training: forward, then backward. Evaluation: infer, which is const and never communicates.
template <class Scalar>
class LOCKSTEP_EXPORT Network {
  public:
    /// Fits the layers to samples of the given shape (taken flat unless a layer takes images). Throws UsageError
    /// where they do not fit.
    Network(const Model& model, Shape input, BatchNormSetup setup);
    /// For the samples that the model says it is for.
    Network(const Model& model, BatchNormSetup setup);

    Network(const Network&) = delete;
    Network& operator=(const Network&) = delete;

    const Shape& input_shape() const { return layers_->input_shape(); }
    const Shape& output_shape() const { return layers_->output_shape(); }
    const Sequence<Scalar>& layers() const { return *layers_; }
    /// What it was made from.
    const Model& model() const { return model_; }
    const BatchNormSetup& setup() const { return setup_; }
    const ParameterLayout& layout() const { return layout_; }

    /// The flat arrays. Parameters in the optimizer's hands; averages in those of the batch norms. A caller may write
    /// parameters too, alike on all ranks.
    std::span<Scalar> parameters() { return store_->parameters; }
    std::span<const Scalar> parameters() const { return store_->parameters; }
    std::span<Scalar> averages() { return store_->averages; }
    std::span<const Scalar> averages() const { return store_->averages; }
    /// For whoever makes the parameters a node's: see NodeArrays.
    PagedMemory& parameter_memory() { return store_->parameters.memory(); }
    /// All batch norms, in forward order. The network owns them.
    std::span<BatchNorm<Scalar>* const> batch_norms() const { return batch_norms_; }

    /// Sets the initial parameters, a function of the seed, and fresh running averages.
    void initialize(std::uint64_t seed);
    /// Allocates activations and gradients for up to `batch` samples a replica; `cover` as in GradientStore.
    void prepare_training(Index batch, const std::vector<Scalar*>& cover = {});

    /// Training pass over one input for each hosted replica; returns their logits, valid until the next pass.
    std::span<const Tensor<const Scalar>> forward(const StepContext& context,
                                                  std::span<const Tensor<const Scalar>> inputs);
    /// Gradients of the pass before, given those of the logits; leaves their sum over the hosted replicas in
    /// gradients(). `inputs` as in forward.
    void backward(const StepContext& context, std::span<const Tensor<const Scalar>> inputs,
                  std::span<const Tensor<const Scalar>> logit_gradients, const GradientsReady& ready = {});
    GradientStore<Scalar>& gradients() { return *gradients_; }
    /// See Sequence. Of no use before the first forward.
    LayerRange first_not_finite() const { return layers_->first_not_finite(const_logits_); }

    /// Evaluation with the running averages, of any number of samples; writes their logits.
    void infer(const Tensor<const Scalar>& input, const Tensor<Scalar>& logits) const;

  private:
    Model model_;
    BatchNormSetup setup_;
    ReplicaMap map_;
    std::unique_ptr<Sequence<Scalar>> layers_;
    ParameterLayout layout_;
    std::unique_ptr<ParameterStore<Scalar>> store_;
    std::unique_ptr<GradientStore<Scalar>> gradients_;
    std::vector<BatchNorm<Scalar>*> batch_norms_;
    std::vector<AlignedVector<Scalar>> logit_storage_;
    std::vector<Tensor<Scalar>> logits_;
    std::vector<Tensor<const Scalar>> const_logits_;
    std::vector<Tensor<Scalar>> no_input_gradients_;
};

extern template class Network<float>;
extern template class Network<double>;

}  // namespace lockstep
