/// Batch normalization over the values of all ranks of a communicator: the layer that other MPI codes embed.
///
///     forward   x̂ = (x − μ)/√(σ² + ε),  z = γ·x̂ + β           μ, σ²: over all values of the statistics group
///     backward  dβ = Σ dz,  dγ = Σ dz·x̂,  dx = γ/√(σ² + ε)·(dz − dβ/m − x̂·dγ/m)
///     infer     the same with the running averages; const, and never communicates
///
/// With Activation::relu z = max(0, γ·x̂ + β), and dz counts where that is positive.
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
#include <lockstep/norm/batch_norm_types.hpp>
#include <lockstep/norm/kernels.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace lockstep {

/// The layer. Instantiated for float and double. Not thread-safe, but for infer.
///
/// All ranks of the communicator call the same layers in the same order. Where one does not, every rank gets
/// a CommunicationError that names both sides; where one never comes, after the communicator's time-out. A
/// layer whose statistics group lies on one rank (a communicator of one, or groups of one replica) never
/// communicates.
///
/// Squares are taken in Scalar: of floats that lie 10¹⁹ or more from the channel's mean they overflow, and
/// the variance is infinite.
///
/// Every x, z, dz and dx has shape.values()·channels() values, stays the caller's, and is not copied.
template <class Scalar>
class LOCKSTEP_EXPORT SyncBatchNorm {
  public:
    /// Collective over the communicator: the ranks compare channels, type, options and placement in one
    /// exchange (none on a communicator of one rank). Allocates all that passes need. Throws UsageError on
    /// options that make no sense, and CommunicationError on every rank, naming the option and both sides, if
    /// the ranks do not agree.
    SyncBatchNorm(Index channels, const Communicator& communicator, BatchNormOptions options = {},
                  ReplicaPlacement placement = {});

    /// Not while a pass is under way.
    SyncBatchNorm(SyncBatchNorm&&) noexcept = default;
    SyncBatchNorm& operator=(SyncBatchNorm&&) noexcept = default;

    Index channels() const { return channels_; }
    const BatchNormOptions& options() const { return options_; }
    /// As errors call it.
    const std::string& name() const { return name_; }
    int hosted_replicas() const { return hosted_.size(); }
    /// How many statistics groups this rank takes part in.
    int hosted_groups() const { return static_cast<int>(groups_.size()); }
    /// Whether the statistics group is all replicas, so that the moments of forward are global.
    bool statistics_are_global() const { return global_; }

    // --- training ---

    /// One replica on each rank. Collective over the ranks of the statistics group; shape.batch may be 0 on
    /// any of them. z may be x. Updates the running averages, unless the batch is empty everywhere.
    void forward(const Scalar* x, Scalar* z, const BatchShape& shape, BatchMoments& saved);
    /// The same; throws UsageError where a size does not fit the shape.
    void forward(std::span<const Scalar> x, std::span<Scalar> z, const BatchShape& shape,
                 BatchMoments& saved);
    /// One slice for each replica that lives on this rank, in order.
    void forward(std::span<const ForwardSlice<Scalar>> slices, BatchMoments& saved);

    /// dx, from `x` as it was in forward; dx may be dz or x. Collective as forward is. dγ and dβ of this
    /// rank's values are added to gradients(): add those up over the ranks as those of all other parameters.
    void backward(const Scalar* x, const Scalar* dz, Scalar* dx, const BatchShape& shape,
                  const BatchMoments& saved);
    void backward(std::span<const Scalar> x, std::span<const Scalar> dz, std::span<Scalar> dx,
                  const BatchShape& shape, const BatchMoments& saved);
    /// dγ and dβ alone, for a first layer whose dx nobody wants. Not collective.
    void backward_parameters(const Scalar* x, const Scalar* dz, const BatchShape& shape,
                             const BatchMoments& saved);
    /// One slice for each replica that lives on this rank, in order. `written(i)` is called when dγ and dβ of
    /// hosted replica i are there, in order. Where dx is null in every slice on every rank there is nothing
    /// to exchange, and nothing is exchanged; where it is wanted, an empty slice needs some pointer too.
    void backward(std::span<const BackwardSlice<Scalar>> slices, const BatchMoments& saved,
                  const std::function<void(int)>& written = {});

    // --- training, while something else is computed ---
    //
    // begin_… computes this rank's sums and sends them; end_… awaits the others' and writes z or dx. In between
    // all arguments (and the array of slices) must stay where they are. One pass of a layer at a time may be
    // under way; several layers' passes may, and end in any order.

    void begin_forward(const Scalar* x, Scalar* z, const BatchShape& shape, BatchMoments& saved);
    void begin_forward(std::span<const ForwardSlice<Scalar>> slices, BatchMoments& saved);
    void end_forward();
    void begin_backward(const Scalar* x, const Scalar* dz, Scalar* dx, const BatchShape& shape,
                        const BatchMoments& saved);
    void begin_backward(std::span<const BackwardSlice<Scalar>> slices, const BatchMoments& saved,
                        const std::function<void(int)>& written = {});
    void end_backward();
    /// Drives the exchange that is under way; true when end_… would not wait. MPI moves messages only within
    /// its own calls: a long computation between begin_… and end_… polls now and then.
    bool poll();

    // --- evaluation ---

    /// Normalizes with the running averages. Communicates nothing and changes nothing; z may be x.
    void infer(const Scalar* x, Scalar* z, const BatchShape& shape) const;
    void infer(std::span<const Scalar> x, std::span<Scalar> z, const BatchShape& shape) const;

    // --- parameters and running averages ---

    /// γ, β and what belongs to them, `channels` values each. 1 and 0 where options().affine is off.
    std::span<Scalar> gamma() { return {storage_.gamma, size()}; }
    std::span<Scalar> beta() { return {storage_.beta, size()}; }
    std::span<Scalar> running_mean() { return {storage_.running_mean, size()}; }
    std::span<Scalar> running_var() { return {storage_.running_var, size()}; }
    std::span<const Scalar> gamma() const { return {storage_.gamma, size()}; }
    std::span<const Scalar> beta() const { return {storage_.beta, size()}; }
    std::span<const Scalar> running_mean() const { return {storage_.running_mean, size()}; }
    std::span<const Scalar> running_var() const { return {storage_.running_var, size()}; }
    /// How many batches the running mean has seen; the running variance, only those that had a variance (a
    /// batch of one value has none). Cumulative averages weigh the next batch by these.
    std::int64_t batches_tracked() const { return batches_tracked_; }
    std::int64_t batches_with_variance() const { return batches_with_variance_; }
    /// For layers that are loaded. Throws UsageError unless 0 ≤ with_variance ≤ batches; std::nullopt: all of
    /// them had one.
    void set_batches_tracked(std::int64_t batches, std::optional<std::int64_t> with_variance = std::nullopt);
    /// dγ for all channels, then dβ: of this rank's values alone, added up since the last zero_gradients().
    std::span<Scalar> gradients() { return gradients_; }
    std::span<const Scalar> gradients() const { return gradients_; }
    void zero_gradients();

    /// What to save and load: γ and β where they are learned, the running averages where they are tracked;
    /// with batches_tracked() beside it. The views stay valid until bind, or the end of the layer.
    std::vector<NamedValues<Scalar>> state();

    /// Moves γ, β and the running averages, with their values, to the caller's memory, which outlives the
    /// layer.
    void bind(const BatchNormStorage<Scalar>& storage);

    /// Frozen, forward normalizes with the running averages and leaves them alone, as fine-tuning wants; γ
    /// and β still learn, and passes exchange nothing. Collective over the layer's communicator, as
    /// construction is, and not while a pass is under way.
    void set_frozen(bool frozen);
    bool frozen() const { return options_.frozen; }
    /// Collective as set_frozen is, and not while a pass is under way.
    void set_epsilon(double epsilon);
    /// The same; std::nullopt: plain averages from now on.
    void set_momentum(std::optional<double> momentum);

    /// From now on normalizes over another communicator: what turns a local layer into a synchronized one and
    /// back. Collective over the new communicator, as construction is; an error leaves the layer as it was.
    /// Throws UsageError while a pass is under way; moments saved before are no longer valid.
    void change_communicator(const Communicator& communicator, ReplicaPlacement placement = {});

    /// For layers with statistics of their own on each rank: gives all ranks the running averages of all of
    /// them pooled. Collective, one exchange. Each rank's averages are taken as mean and variance of a
    /// population of `weight` (1: all ranks alike; the number of values seen, say, where shards are uneven;
    /// 0: only receives), so
    ///     mean = Σ wᵣ·meanᵣ / Σ wᵣ,   var = Σ wᵣ·(varᵣ + (meanᵣ − mean)²) / Σ wᵣ:
    /// the spread between the ranks' means is not lost. All ranks end with the same bits. Nothing changes
    /// where all weights are 0. Throws UsageError on a weight that is negative or not finite.
    void synchronize_running_averages(const Communicator& among, double weight = 1);

    // --- for owners of several layers, who update all averages at once ---

    /// The moments of the first statistics group here in the last forward (see moments.hpp); of the global
    /// batch where statistics_are_global(). Valid until the next forward; null before the first and after a
    /// frozen one.
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
    enum class Pass { none, forward, backward };

    /// One statistics group, as far as it lives here.
    struct Group {
        ReplicaRange hosted;  // relative to this rank's first replica
        std::unique_ptr<TreeExchange> moments;
        std::unique_ptr<TreeExchange> sums;

        /// One replica, with nobody to exchange with.
        bool is_alone() const { return hosted.size() == 1 && !moments->crosses_ranks(); }
    };

    std::size_t size() const { return static_cast<std::size_t>(channels_); }
    ChannelRange all_channels() const { return {0, channels_}; }
    /// Makes sure that the ranks mean the same layer; returns a number for it if it has no name.
    std::int64_t agree(const Communicator& communicator, const ReplicaPlacement& placement) const;
    void connect(const Communicator& communicator, const ReplicaPlacement& placement);
    void require_idle() const;
    void require_tracking(const char* what) const;
    void require_shape(const BatchShape& shape) const;
    void require_size(std::size_t size, const BatchShape& shape, const char* what) const;
    void require_moments_of(std::span<const BackwardSlice<Scalar>> slices, const BatchMoments& saved) const;
    void start_moments();
    void freeze_moments(BatchMoments& saved) const;
    void save_moments(int group, const double* moments, ChannelRange range);
    void forward_alone(int group);
    void backward_alone(int group);
    void start_sums(std::span<const BackwardSlice<Scalar>> slices, const BatchMoments& saved, bool exchange,
                    const std::function<void(int)>& written);
    void add_single_gradient();
    void compute_normalization(const BatchMoments& saved, int group, ChannelRange range);
    void compute_input_gradient(const BatchMoments& saved, int group, const double* sums, ChannelRange range);
    void write_parameter_gradients(const BackwardSlice<Scalar>& slice, const BatchMoments& saved, int group,
                                   const double* sums) const;
    /// The coefficients that forward had, as far as backward needs them.
    void recall_normalization(const BatchMoments& saved, int group, ChannelRange range);
    void compute_shift(const BatchMoments& saved, int group, ChannelRange range);
    NormalizeCoefficients<Scalar> normalization() const {
        return {shift_.data(), scale_.data(), offset_.data()};
    }
    InputGradientCoefficients<Scalar> input_gradient_coefficients() const {
        return {normalization(), gradient_scale_.data(), input_scale_.data(), gradient_offset_.data()};
    }

    Index channels_;
    BatchNormOptions options_;
    Communicator communicator_;
    std::uint64_t identity_ = 0;  // of the layer on this communicator: what saved moments are held against
    std::string name_;
    ReplicaRange hosted_;
    bool global_ = false;
    std::vector<Group> groups_;
    ExchangeLabel forward_label_, backward_label_;
    AlignedVector<Scalar> owned_;
    AlignedVector<Scalar> gradients_;
    BatchNormStorage<Scalar> storage_{};
    std::int64_t batches_tracked_ = 0;
    std::int64_t batches_with_variance_ = 0;
    AlignedVector<double> replica_moments_;
    const double* group_moments_ = nullptr;
    // The pass under way.
    Pass pass_ = Pass::none;
    ForwardSlice<Scalar> single_forward_{};
    BackwardSlice<Scalar> single_backward_{};
    std::span<const ForwardSlice<Scalar>> forward_slices_;
    std::span<const BackwardSlice<Scalar>> backward_slices_;
    BatchMoments* forward_moments_ = nullptr;
    const BatchMoments* backward_moments_ = nullptr;
    bool exchanges_ = false;
    // Per channel, of the pass at hand.
    AlignedVector<Scalar> shift_, scale_, offset_;                          // of normalize
    AlignedVector<Scalar> gradient_scale_, input_scale_, gradient_offset_;  // of input_gradient
    AlignedVector<Scalar> single_gradient_;
};

extern template class SyncBatchNorm<float>;
extern template class SyncBatchNorm<double>;

}  // namespace lockstep
