/// SyncBatchNorm as a layer of a network: its parameters lie in the network's flat store.
#pragma once

#include <lockstep/nn/layer.hpp>
#include <lockstep/norm/sync_batch_norm.hpp>

#include <vector>

namespace lockstep {

template <class Scalar>
class LOCKSTEP_EXPORT BatchNorm final : public Layer<Scalar> {
  public:
    using typename Layer<Scalar>::Inputs;
    using typename Layer<Scalar>::Outputs;
    using typename Layer<Scalar>::BackwardPass;

    /// Normalizes the channels of `shape` over the pixels of all samples of a statistics group. The running
    /// averages are updated by the network's owner, for all layers at once.
    BatchNorm(Shape shape, const Communicator& communicator, BatchNormOptions options,
              ReplicaPlacement placement);

    std::string kind() const override { return "batchnorm"; }
    void declare(ParameterLayout& layout, const std::string& prefix) override;
    void bind(ParameterStore<Scalar>& store) override;
    /// γ = 1 (or what set_initial_gamma says), β = 0, and running averages as before the first batch.
    void initialize(std::uint64_t seed) override;
    void forward(const StepContext& context, Inputs x, Outputs z) override;
    void backward(const BackwardPass& pass) override;
    void infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const override;
    void collect_batch_norms(std::vector<BatchNorm<Scalar>*>& list) override { list.push_back(this); }

    /// What γ starts from in initialize.
    void set_initial_gamma(Scalar value) { initial_gamma_ = value; }

    SyncBatchNorm<Scalar>& norm() { return norm_; }
    const SyncBatchNorm<Scalar>& norm() const { return norm_; }
    /// The moments of the last forward.
    const BatchMoments& moments() const { return moments_; }
    /// "3." in a network: what precedes "running_mean" in names.
    const std::string& prefix() const { return prefix_; }

  private:
    SyncBatchNorm<Scalar> norm_;
    BatchMoments moments_;
    std::string prefix_;
    Scalar initial_gamma_ = 1;
    Index gamma_offset_ = 0, beta_offset_ = 0, mean_offset_ = 0, variance_offset_ = 0;
    std::vector<ForwardSlice<Scalar>> forward_slices_;
    std::vector<BackwardSlice<Scalar>> backward_slices_;
};

extern template class BatchNorm<float>;
extern template class BatchNorm<double>;

}  // namespace lockstep
