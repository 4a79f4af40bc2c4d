/// The running mean and variance of a batch norm: what infer normalizes with.
///
///     running ← (1 − momentum)·running + momentum·batch         (PyTorch's convention; the variance unbiased)
///
/// from moments of the global batch (see moments.hpp), so that they are the same on every rank. A batch without a
/// value changes nothing; one of a single value has no variance, and changes the mean alone.
#pragma once

#include <lockstep/base/aligned_vector.hpp>
#include <lockstep/base/export.hpp>
#include <lockstep/base/shape.hpp>
#include <lockstep/comm/communicator.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace lockstep {

/// Instantiated for float and double.
template <class Scalar>
class LOCKSTEP_EXPORT RunningAverages {
  public:
    /// 0 and 1, as before the first batch. `momentum` is the weight of the newest batch; std::nullopt gives the plain
    /// (cumulative) average. `name` is whose averages they are, in errors.
    explicit RunningAverages(Index channels, std::optional<double> momentum = 0.1,
                             std::string name = "batch norm");

    RunningAverages(RunningAverages&&) noexcept = default;
    RunningAverages& operator=(RunningAverages&&) noexcept = default;

    Index channels() const { return channels_; }
    std::span<Scalar> mean() { return {mean_, static_cast<std::size_t>(channels_)}; }
    std::span<Scalar> var() { return {var_, static_cast<std::size_t>(channels_)}; }
    std::span<const Scalar> mean() const { return {mean_, static_cast<std::size_t>(channels_)}; }
    std::span<const Scalar> var() const { return {var_, static_cast<std::size_t>(channels_)}; }

    std::optional<double> momentum() const { return momentum_; }
    void set_momentum(std::optional<double> momentum) { momentum_ = momentum; }

    /// How many batches the mean has seen; the variance, only those that had one. Cumulative averages weigh the next
    /// batch by these.
    std::int64_t batches() const { return batches_; }
    std::int64_t batches_with_variance() const { return batches_with_variance_; }
    /// For averages that are loaded. Throws UsageError unless 0 ≤ with_variance ≤ batches; std::nullopt: all of them
    /// had a variance.
    void set_batches(std::int64_t batches, std::optional<std::int64_t> with_variance = std::nullopt);

    /// Adds a batch, by its moments.
    void update(const double* moments);
    /// Replaces the averages by the mean and variance of a population.
    void set(const double* moments);

    /// Gives all ranks the averages of all of them, pooled: for averages of each rank's own batches. Collective, one
    /// exchange. Each rank's averages are taken as mean and variance of a population of `weight` (1: every rank
    /// counts the same; the number of values seen, say, for uneven shards; 0: only receives), so
    ///     mean = Σ wᵣ·meanᵣ / Σ wᵣ,   var = Σ wᵣ·(varᵣ + (meanᵣ − mean)²) / Σ wᵣ:
    /// the spread between the ranks' means is not lost. All ranks end with the same bits. Nothing changes if all
    /// weights are 0. Throws UsageError on a weight that is negative or not finite.
    void pool(const Communicator& among, double weight = 1);

    /// What restore brings back, on averages of as many channels.
    struct Snapshot {
        std::vector<Scalar> mean, var;
        std::int64_t batches = 0, batches_with_variance = 0;
    };
    Snapshot snapshot() const;
    void restore(const Snapshot& snapshot);

    /// Moves the averages, with their values, to the caller's memory (`channels` values each), which outlives them.
    void bind(Scalar* mean, Scalar* var);
    void rename(std::string name) { name_ = std::move(name); }

  private:
    Index channels_;
    std::optional<double> momentum_;
    std::string name_;
    AlignedVector<Scalar> owned_;
    Scalar* mean_;
    Scalar* var_;
    std::int64_t batches_ = 0;
    std::int64_t batches_with_variance_ = 0;
};

extern template class RunningAverages<float>;
extern template class RunningAverages<double>;

}  // namespace lockstep
