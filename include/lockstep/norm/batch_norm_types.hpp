/// What goes into a batch norm layer and comes out of it: options, placement, slices, saved moments.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/norm/kernels.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace lockstep {

/// Who updates the running averages.
enum class RunningUpdate {
    automatic,  ///< forward does, with the moments of the statistics group
    deferred,   ///< the caller does, with averages().update
};

struct BatchNormOptions {
    double epsilon = 1e-5;
    /// Applied to z in the same pass, and undone in backward: relu costs nothing there, and two passes over
    /// the memory as a layer of its own. γ and β must not change between a forward and its backward.
    Activation activation = Activation::none;
    /// Weight of the newest batch in the running averages; std::nullopt gives the plain (cumulative) average.
    std::optional<double> momentum = 0.1;
    /// γ and β are learned; otherwise they are 1 and 0.
    bool affine = true;
    /// Collect running averages; without them infer throws.
    bool track_running_averages = true;
    RunningUpdate running_update = RunningUpdate::automatic;
    /// Starts frozen: see SyncBatchNorm::set_frozen.
    bool frozen = false;
    /// Named in errors, the same on every rank. Empty: "layer N", which the ranks of the layer's communicator
    /// agree on and no other layer of theirs has. Layers on communicators of one rank count for themselves:
    /// those whose averages are to be pooled over ranks need the same order of construction there, or names.
    std::string name = {};
};

/// How the replicas are spread and grouped.
struct ReplicaPlacement {
    /// R logical workers, in contiguous blocks over the ranks; std::nullopt: one on each rank.
    std::optional<int> replicas = std::nullopt;
    /// K neighbouring replicas share their statistics; std::nullopt: all of them.
    std::optional<int> group = std::nullopt;
};

class StatisticsGroups;

/// What backward needs from forward: the moments of the statistics groups that this rank takes part in, and
/// which layer and shapes they are of. The caller's object: two forwards with an object each may be under way
/// before the first backward.
class LOCKSTEP_EXPORT BatchMoments {
  public:
    /// How many statistics groups there are; 0 before any forward.
    int groups() const { return static_cast<int>(counts_.size()); }
    /// Values per channel in the group (of all its ranks); 0 where a frozen layer used its running averages.
    double count(int group = 0) const { return counts_[static_cast<std::size_t>(group)]; }
    std::span<const double> mean(int group = 0) const { return part(means_, group); }
    /// Biased: ÷ count.
    std::span<const double> variance(int group = 0) const { return part(variances_, group); }

  private:
    friend class SavedStatistics;

    std::span<const double> part(const std::vector<double>& all, int group) const {
        return std::span(all).subspan(static_cast<std::size_t>(group) * channels_, channels_);
    }

    std::uint64_t layer_ = 0;         // its identity; 0 before any forward
    std::vector<BatchShape> shapes_;  // of each hosted replica
    std::size_t channels_ = 0;
    bool frozen_ = false;
    std::vector<double> counts_, means_, variances_;
    std::vector<double> inverse_deviations_;  // 1/√(σ² + ε)
};

/// An array that a caller passes: a pointer, whose size is taken on trust, or whatever a std::span can be made of, whose
/// size is checked.
template <class Value>
class ArrayArgument {
  public:
    ArrayArgument(Value* data) : data_(data) {}
    template <class Range, class = std::enable_if_t<std::constructible_from<std::span<Value>, Range&> &&
                                                    !std::convertible_to<Range, Value*>>>
    ArrayArgument(Range&& range)
        : data_(std::span<Value>(range).data()), size_(std::span<Value>(range).size()) {}

    Value* data() const { return data_; }
    std::optional<std::size_t> size() const { return size_; }

  private:
    Value* data_;
    std::optional<std::size_t> size_;
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

/// Values that have a name: what to save, and where to load it.
template <class Scalar>
struct NamedValues {
    std::string_view name;  ///< as PyTorch calls it: "weight", "bias", "running_mean", "running_var"
    std::span<Scalar> values;
};

}  // namespace lockstep
