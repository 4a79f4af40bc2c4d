/// Batch norms folded into the layers beside them, for inference.
///
/// With running averages a batch norm is an affine map of each channel, z = s·x + t with s = γ/√(σ² + ε) and
/// t = β − μ·s. Behind a linear layer or a convolution, or before one, it can be part of what that layer multiplies
/// and adds.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/nn/network.hpp>

#include <memory>

namespace lockstep {

/// Infers what a network does, to 1e-6 of the outputs' scale, without the batch norms that can be folded, in
/// residual blocks too. These stay: a batch norm beside neither a linear layer nor a convolution; one whose only such
/// neighbour is a convolution with a pad behind it; one with a mean far from 0 (see BatchNorm::foldable_map); and one
/// that would make a weight infinite.
///
///     const lockstep::FoldedNetwork<float> folded(trainer.network());
///     folded.infer(input, outputs);
///
/// A copy: it follows no later change of the network. Of this process alone, and not collective. Instantiated for
/// float and double.
template <class Scalar>
class LOCKSTEP_EXPORT FoldedNetwork {
  public:
    explicit FoldedNetwork(const Network<Scalar>& network);
    FoldedNetwork(const FoldedNetwork&) = delete;
    FoldedNetwork& operator=(const FoldedNetwork&) = delete;

    const Sequence<Scalar>& layers() const { return *layers_; }
    /// How many are left.
    std::size_t batch_norms() const { return batch_norms_; }
    /// As Network::infer.
    void infer(const Tensor<const Scalar>& input, const Tensor<Scalar>& logits) const {
        layers_->infer(input, logits);
    }

  private:
    std::unique_ptr<Sequence<Scalar>> layers_;
    ParameterStore<Scalar> store_;
    std::size_t batch_norms_ = 0;
};

extern template class FoldedNetwork<float>;
extern template class FoldedNetwork<double>;

}  // namespace lockstep
