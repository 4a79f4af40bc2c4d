/// Batch normalization over the values of all ranks of a communicator: the layer that other MPI codes embed.
///
///     forward   x̂ = (x − μ)/√(σ² + ε),  z = γ·x̂ + β           μ, σ²: over all values of the statistics group
///     backward  dβ = Σ dz,  dγ = Σ dz·x̂,  dx = γ/√(σ² + ε)·(dz − dβ/m − x̂·dγ/m)
///     infer     the same with the running averages; const, and never communicates
///
/// (Ioffe, Szegedy: "Batch normalization", 2015, arXiv 1502.03167.) σ² is biased (÷ m) where it normalizes;
/// the running variance collects the unbiased one (÷ (m − 1)), as PyTorch does. One exchange in forward, one
/// in backward; both are exact for unequal and empty shards, and give the same bits on any number of ranks
/// that share the same replicas.
#pragma once

#include <lockstep/base/aligned_vector.hpp>
#include <lockstep/base/export.hpp>
#include <lockstep/base/shape.hpp>
#include <lockstep/comm/communicator.hpp>
#include <lockstep/comm/replica_map.hpp>
#include <lockstep/comm/tree_exchange.hpp>
#include <lockstep/norm/kernels.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace lockstep {

/// Who updates the running averages.
enum class RunningUpdate {
    automatic,  ///< forward does, with the moments of the statistics group
    deferred,   ///< the caller does, with update_running_averages
};

struct BatchNormOptions {
    double epsilon = 1e-5;
    /// Weight of the newest batch in the running averages; std::nullopt gives the plain (cumulative) average.
    std::optional<double> momentum = 0.1;
    /// γ and β are learned; otherwise they are 1 and 0.
    bool affine = true;
    /// Collect running averages; without them infer throws.
    bool track_running_averages = true;
    RunningUpdate running_update = RunningUpdate::automatic;
    /// Named in errors. Empty: "layer".
    std::string name = {};
};

/// How the replicas are spread and grouped.
struct ReplicaPlacement {
    /// R logical workers, in contiguous blocks over the ranks; std::nullopt: one on each rank.
    std::optional<int> replicas = std::nullopt;
    /// K neighbouring replicas share their statistics; std::nullopt: all of them.
    std::optional<int> group = std::nullopt;
};

/// What backward needs from forward: the moments of the statistics groups that this rank takes part in.
/// The caller's object: two forwards with an object each may be under way before the first backward.
class LOCKSTEP_EXPORT BatchMoments {
  public:
    /// Values per channel in the group (of all its ranks).
    double count(int group = 0) const { return counts_[static_cast<std::size_t>(group)]; }
    std::span<const double> mean(int group = 0) const { return part(means_, group); }
    /// Biased: ÷ count.
    std::span<const double> variance(int group = 0) const { return part(variances_, group); }

  private:
    template <class Scalar>
    friend class SyncBatchNorm;

    std::span<const double> part(const std::vector<double>& all, int group) const {
        return std::span(all).subspan(static_cast<std::size_t>(group) * channels_, channels_);
    }
    void resize(std::size_t groups, std::size_t channels);

    std::size_t channels_ = 0;
    std::vector<double> counts_, means_, variances_;
};

/// One replica's part of a forward pass. The memory stays the caller's; z may be x.
template <class Scalar>
struct ForwardSlice {
    const Scalar* x;
    Scalar* z;
    BatchShape shape;
};

/// One replica's part of a backward pass. dx may be dz or x, or null where it is not wanted. The replica's
/// own dγ and dβ (channels values each) are written, not added; null where they are not wanted.
template <class Scalar>
struct BackwardSlice {
    const Scalar* x;
    const Scalar* dz;
    Scalar* dx;
    BatchShape shape;
    Scalar* gamma_gradient;
    Scalar* beta_gradient;
};

/// Arrays of `channels` values in somebody else's memory, for layers whose parameters live in a flat array.
template <class Scalar>
struct BatchNormStorage {
    Scalar* gamma;
    Scalar* beta;
    Scalar* running_mean;
    Scalar* running_var;
};

/// The layer. Instantiated for float and double. Not thread-safe, but for infer.
template <class Scalar>
class LOCKSTEP_EXPORT SyncBatchNorm {
  public:
    /// Not collective; but all ranks of the communicator must use the layer alike. Throws UsageError on
    /// options that make no sense.
    SyncBatchNorm(Index channels, const Communicator& communicator, BatchNormOptions options = {},
                  ReplicaPlacement placement = {});

    SyncBatchNorm(SyncBatchNorm&&) = default;
    SyncBatchNorm& operator=(SyncBatchNorm&&) = default;

    Index channels() const { return channels_; }
    const BatchNormOptions& options() const { return options_; }
    int hosted_replicas() const { return hosted_.size(); }
    /// Whether the statistics group is all replicas, so that the moments of forward are global.
    bool statistics_are_global() const { return global_; }

    /// Training, one replica on each rank. Collective over the ranks of the statistics group. batch may be 0.
    void forward(const Scalar* x, Scalar* z, const BatchShape& shape, BatchMoments& saved);
    /// Training, one slice for each replica that lives on this rank, in order.
    void forward(std::span<const ForwardSlice<Scalar>> slices, BatchMoments& saved);

    /// Gradients of one replica on each rank; its dγ and dβ are added to gradients(). `x` as it was in
    /// forward.
    void backward(const Scalar* x, const Scalar* dz, Scalar* dx, const BatchShape& shape,
                  const BatchMoments& saved);
    /// Gradients, one slice for each replica that lives on this rank, in order. `written(i)` is called when
    /// dγ and dβ of hosted replica i are there, in order. Where dx is null in every slice on every rank (a
    /// first layer, say) there is nothing to exchange, and nothing is exchanged.
    void backward(std::span<const BackwardSlice<Scalar>> slices, const BatchMoments& saved,
                  const std::function<void(int)>& written = {});

    /// Evaluation with the running averages. Communicates nothing and changes nothing; z may be x.
    void infer(const Scalar* x, Scalar* z, const BatchShape& shape) const;

    /// γ, β and what belongs to them, `channels` values each.
    std::span<Scalar> gamma() { return {storage_.gamma, size()}; }
    std::span<Scalar> beta() { return {storage_.beta, size()}; }
    std::span<Scalar> running_mean() { return {storage_.running_mean, size()}; }
    std::span<Scalar> running_var() { return {storage_.running_var, size()}; }
    std::int64_t batches_tracked() const { return batches_tracked_; }
    void set_batches_tracked(std::int64_t batches) { batches_tracked_ = batches; }
    /// dγ for all channels, then dβ: of this rank's values alone, added up since the last zero_gradients().
    std::span<Scalar> gradients() { return gradients_; }
    void zero_gradients();

    /// Moves γ, β and the running averages, with their values, to the caller's memory, which outlives the
    /// layer.
    void bind(const BatchNormStorage<Scalar>& storage);

    /// The moments of the first statistics group here in the last forward (see moments.hpp); of the global
    /// batch where statistics_are_global(). Valid until the next forward.
    const double* group_moments() const { return group_moments_; }
    /// The moments of hosted replica i in the last forward (see moments.hpp), where running_update is
    /// deferred.
    const double* replica_moments(int i) const;
    /// running ← (1 − momentum)·running + momentum·batch, from moments of the global batch (see moments.hpp).
    /// Leaves alone what is undefined: everything where the count is 0, the variance where it is 1.
    void update_running_averages(const double* moments);
    /// Replaces the running averages by the moments of a population.
    void set_running_averages(const double* moments);

  private:
    /// One statistics group, as far as it lives here.
    struct Group {
        ReplicaRange hosted;  // relative to this rank's first replica
        std::unique_ptr<TreeExchange> moments;
        std::unique_ptr<TreeExchange> sums;
    };

    std::size_t size() const { return static_cast<std::size_t>(channels_); }
    void compute_normalization(const BatchMoments& saved, int group);
    void compute_input_gradient(const BatchMoments& saved, int group, const double* sums);
    void write_parameter_gradients(const BackwardSlice<Scalar>& slice, const BatchMoments& saved, int group,
                                   const double* sums) const;
    void compute_shift(const BatchMoments& saved, int group);

    Index channels_;
    BatchNormOptions options_;
    ReplicaRange hosted_;
    bool global_;
    std::vector<Group> groups_;
    ExchangeLabel forward_label_, backward_label_;
    AlignedVector<Scalar> owned_;
    AlignedVector<Scalar> gradients_;
    BatchNormStorage<Scalar> storage_{};
    std::int64_t batches_tracked_ = 0;
    AlignedVector<double> replica_moments_;
    const double* group_moments_ = nullptr;
    // Per channel, of the pass at hand.
    AlignedVector<Scalar> shift_, scale_, input_scale_, offset_, single_gradient_;
};

extern template class SyncBatchNorm<float>;
extern template class SyncBatchNorm<double>;

}  // namespace lockstep
