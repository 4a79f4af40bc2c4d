/// Batch normalization over the values of all ranks of a communicator: the layer that other MPI codes embed.
///
///     forward   x̂ = (x − μ)/√(σ² + ε),  z = γ·x̂ + β           μ, σ²: over all values of the statistics group
///     backward  dβ = Σ dz,  dγ = Σ dz·x̂,  dx = γ/√(σ² + ε)·(dz − dβ/m − x̂·dγ/m)
///     infer     the same with the running averages; const, and never communicates
/// With Activation::relu z = max(0, γ·x̂ + β), and dz counts where that is positive.
///
/// (Ioffe, Szegedy: "Batch normalization", 2015, arXiv 1502.03167.) σ² is biased (÷ m) where it normalizes; the running
/// variance collects the unbiased one (÷ (m − 1)), as PyTorch does. One exchange in forward, one in backward; both are
/// exact for unequal and empty shards, and give the same bits on any number of ranks that share the same replicas.
#pragma once

#include <lockstep/base/executor.hpp>
#include <lockstep/comm/communicator.hpp>
#include <lockstep/norm/batch_norm_types.hpp>
#include <lockstep/norm/running_averages.hpp>

#include <functional>
#include <memory>

namespace lockstep {

/// The layer. Instantiated for float and double. Not thread-safe, but for infer without an executor.
///
/// All ranks of the communicator call the same layers in the same order. If one does not, every rank gets a
/// CommunicationError that names both sides; if one never comes, after the communicator's time-out. A layer whose
/// statistics group lies on one rank (a communicator of one, or groups of one replica) never communicates.
///
/// Every x, z, dz and dx has shape.values()·channels() values, stays the caller's, and is not copied; UsageError if a size
/// does not fit the shape.
template <class Scalar>
class LOCKSTEP_EXPORT SyncBatchNorm {
  public:
    using Input = ArrayArgument<const Scalar>;  // a pointer, or anything like a span
    using Output = ArrayArgument<Scalar>;
    using ForwardSlices = std::span<const ForwardSlice<Scalar>>;
    using BackwardSlices = std::span<const BackwardSlice<Scalar>>;
    using Written = std::function<void(int replica)>;

    /// Collective: the ranks compare channels, type, options and placement in one exchange (none on a communicator of
    /// one rank). Allocates all that passes need. Throws UsageError on options that make no sense, and
    /// CommunicationError on every rank, naming the option and both sides, if the ranks do not agree.
    SyncBatchNorm(Index channels, const Communicator& communicator, BatchNormOptions options = {},
                  ReplicaPlacement placement = {});
    ~SyncBatchNorm();
    SyncBatchNorm(SyncBatchNorm&&) noexcept;
    SyncBatchNorm& operator=(SyncBatchNorm&&) noexcept;

    Index channels() const;
    const BatchNormOptions& options() const;
    const std::string& name() const;  ///< as errors call it
    const Communicator& communicator() const;
    /// Over which replicas the statistics are taken, and how many of them live here (statistics_groups.hpp).
    const StatisticsGroups& groups() const;

    // --- training: one replica on each rank, or one slice for each replica that lives here, in order ---
    /// Collective over the ranks of the statistics group; shape.batch may be 0 on any of them. z may be x. Updates the
    /// running averages, unless the batch is empty everywhere.
    void forward(Input x, Output z, const BatchShape& shape, BatchMoments& saved);
    void forward(ForwardSlices slices, BatchMoments& saved);
    /// dx, from x as it was in forward; dx may be dz or x. Collective as forward is. dγ and dβ of this rank's values
    /// are added to gradients(): add those up over the ranks as those of all other parameters.
    void backward(Input x, Input dz, Output dx, const BatchShape& shape, const BatchMoments& saved);
    /// `written(i)` is called when dγ and dβ of hosted replica i are there, in order. If dx is null in every slice on
    /// every rank nothing is exchanged; where it is wanted, an empty slice needs some pointer too.
    void backward(BackwardSlices slices, const BatchMoments& saved, const Written& written = {});
    /// dγ and dβ alone, for a first layer whose dx nobody wants. Not collective.
    void backward_parameters(Input x, Input dz, const BatchShape& shape, const BatchMoments& saved);

    // --- the same while something else is computed: begin_… computes this rank's sums and sends them, end_… awaits the
    // others' and writes z or dx. In between all arguments (and the array of slices) stay where they are. One pass of a
    // layer at a time may be under way; several layers' passes may, and end in any order. ---
    void begin_forward(Input x, Output z, const BatchShape& shape, BatchMoments& saved);
    void begin_forward(ForwardSlices slices, BatchMoments& saved);
    void end_forward();
    void begin_backward(Input x, Input dz, Output dx, const BatchShape& shape, const BatchMoments& saved);
    void begin_backward(BackwardSlices slices, const BatchMoments& saved, const Written& written = {});
    void end_backward();
    /// Drives the exchange, as MPI does within its own calls alone; true when end_… would not wait.
    bool poll();

    /// Evaluation: with the running averages. Communicates nothing and changes nothing; z may be x.
    void infer(Input x, Output z, const BatchShape& shape) const;

    // --- parameters, gradients, running averages: `channels` values each ---
    std::span<Scalar> gamma();  ///< 1 (and β 0) if options().affine is off
    std::span<Scalar> beta();
    std::span<const Scalar> gamma() const;
    std::span<const Scalar> beta() const;
    /// dγ for all channels, then dβ: of this rank's values alone, added up since the last zero_gradients().
    std::span<Scalar> gradients();
    std::span<const Scalar> gradients() const;
    void zero_gradients();
    std::span<Scalar> running_mean();
    std::span<Scalar> running_var();
    std::span<const Scalar> running_mean() const;
    std::span<const Scalar> running_var() const;
    RunningAverages<Scalar>& averages();  ///< throws UsageError if they are not tracked
    const RunningAverages<Scalar>& averages() const;
    /// What to save and load: γ and β if they are learned, the running averages if they are tracked; with
    /// averages().batches() beside it. The views stay valid until bind, or the end of the layer.
    std::vector<NamedValues<Scalar>> state();
    /// Moves γ, β and the running averages, with their values, to the caller's memory, which outlives the layer.
    void bind(const BatchNormStorage<Scalar>& storage);
    /// The moments (moments.hpp) that the last forward took: of the first statistics group here, null before the first
    /// forward and after a frozen one; of hosted replica i, if running_update is deferred. Valid until the next forward.
    const double* group_moments() const;
    const double* replica_moments(int i) const;

    // --- changes: collective as construction is, unless it says otherwise, and not while a pass is under way ---
    /// Frozen, forward normalizes with the running averages and leaves them alone, as fine-tuning wants; γ and β still
    /// learn, and passes exchange nothing.
    void set_frozen(bool frozen);
    void set_epsilon(double epsilon);
    void set_momentum(std::optional<double> momentum);
    /// From now on normalizes over another communicator: what turns a local layer into a synchronized one and back.
    /// Collective over the new one; an error leaves the layer as it was. Moments saved before are no longer valid.
    void change_communicator(const Communicator& communicator, ReplicaPlacement placement = {});
    /// Spreads the loops over threads that outlive the layer (null: the calling one): the same bits. Not collective.
    void set_executor(Executor* executor);

  private:
    struct State;
    std::unique_ptr<State> state_;
};

extern template class SyncBatchNorm<float>;
extern template class SyncBatchNorm<double>;

}  // namespace lockstep
