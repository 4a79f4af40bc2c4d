/// SyncBatchNorm as a layer of a network: its parameters lie in the network's flat store.
#pragma once

#include <lockstep/nn/layer.hpp>
#include <lockstep/norm/sync_batch_norm.hpp>

#include <optional>
#include <vector>

namespace lockstep {

/// What all batch norms of a network have in common.
struct BatchNormSetup {
    Communicator communicator;
    ReplicaPlacement placement;
    double epsilon = 1e-5;
    std::optional<double> momentum = 0.1;  ///< std::nullopt: cumulative
};

/// What one batch norm has of its own; what is not set is as in the setup. In a model text `batchnorm epsilon
/// 0.001 momentum 0.01 affine false`, or `momentum cumulative`.
struct BatchNormSettings {
    std::optional<double> epsilon = {};
    std::optional<double> momentum = {};
    bool cumulative = false;  ///< instead of a momentum
    bool affine = true;       ///< without: γ = 1 and β = 0, and no parameters
};

template <class Scalar>
class LOCKSTEP_EXPORT BatchNorm final : public Layer<Scalar> {
  public:
    using typename Layer<Scalar>::Inputs;
    using typename Layer<Scalar>::Outputs;
    using typename Layer<Scalar>::BackwardPass;

    /// Normalizes the channels of `shape` over the pixels of all samples of a statistics group. The running
    /// averages are updated by the network's owner, for all layers at once. Without a name in the options it is
    /// called by its place in the network.
    BatchNorm(Shape shape, const Communicator& communicator, BatchNormOptions options,
              ReplicaPlacement placement);

    /// Gives max(0, z) instead of z, in the same pass: what a Sequence asks for where a relu follows. Before
    /// declare.
    void rectify_output() { options_.activation = Activation::relu; }

    std::string kind() const override { return "batchnorm"; }
    /// Here the ranks make sure that they mean the same layer.
    void declare(ParameterLayout& layout, const std::string& prefix) override;
    void bind(ParameterStore<Scalar>& store) override;
    /// γ = 1 (or what set_initial_gamma says), β = 0, and running averages as before the first batch.
    void initialize(std::uint64_t seed) override;
    void forward(const StepContext& context, Inputs x, Outputs z) override;
    void backward(const BackwardPass& pass) override;
    void infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const override;
    void collect_batch_norms(std::vector<BatchNorm<Scalar>*>& list) override { list.push_back(this); }

    bool affine() const { return options_.affine; }
    bool rectifies_output() const { return options_.activation == Activation::relu; }
    /// What γ starts from in initialize, where it is learned.
    void set_initial_gamma(Scalar value) { initial_gamma_ = value; }

    /// After declare.
    SyncBatchNorm<Scalar>& norm() { return *norm_; }
    const SyncBatchNorm<Scalar>& norm() const { return *norm_; }
    /// What infer does, but for a relu. std::nullopt if a mean is further than 1e-6/(2·machine epsilon) deviations
    /// √(σ² + ε) from 0 (4 for float, 2·10⁹ for double): a sum that it is not subtracted from before it is rounded
    /// loses about 1e-6 of a deviation.
    std::optional<ChannelMap> foldable_map() const;
    /// The moments of the last forward.
    const BatchMoments& moments() const { return moments_; }
    /// "3." in a network: what precedes "running_mean" in names.
    const std::string& prefix() const { return prefix_; }

  private:
    Communicator communicator_;
    BatchNormOptions options_;
    ReplicaPlacement placement_;
    std::optional<SyncBatchNorm<Scalar>> norm_;  // from declare on
    std::vector<Scalar> constants_;              // γ and β where they are not learned
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
