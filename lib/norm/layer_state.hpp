/// What a SyncBatchNorm keeps: its parts, its two passes, which of them is under way, and what calls are checked against.
#pragma once

#include "backward_pass.hpp"
#include "forward_pass.hpp"
#include "layer_checks.hpp"
#include "layer_parts.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/comm/agreement.hpp>
#include <lockstep/comm/failure_guard.hpp>
#include <lockstep/norm/sync_batch_norm.hpp>

#include <string>
#include <utility>

namespace lockstep {

enum class Pass { none, forward, backward };

template <class Scalar>
struct SyncBatchNorm<Scalar>::State {
    LayerParts<Scalar> parts;
    ForwardPass<Scalar> forward{parts};
    BackwardPass<Scalar> backward{parts};
    AlignedVector<Scalar> own_parameters{};
    AlignedVector<Scalar> gradients{};
    Pass pass = Pass::none;  ///< under way
    // Of one replica, for calls without slices.
    ForwardSlice<Scalar> forward_slice{};
    BackwardSlice<Scalar> backward_slice{};
    AlignedVector<Scalar> slice_gradients{};

    std::size_t size() const { return static_cast<std::size_t>(parts.channels); }
    std::string errors_begin() const { return "batch norm '" + parts.name + "'"; }

    void require_idle() const {
        if (pass != Pass::none)
            throw UsageError(errors_begin() + ": a " + (pass == Pass::forward ? "forward" : "backward") +
                             " is under way; end it first");
    }
    void require_tracking() const {
        if (!parts.options.track_running_averages)
            throw UsageError(errors_begin() +
                             ": this layer keeps no running averages (track_running_averages is off)");
    }
    void require_shape(const BatchShape& shape) const {
        check(shape, parts.channels, sizeof(Scalar), parts.name);
    }
    template <class Value>
    Value* require_size(const ArrayArgument<Value>& array, const BatchShape& shape, const char* what) const {
        const auto due = static_cast<std::size_t>(shape.values() * parts.channels);
        if (array.size().value_or(due) != due)
            throw UsageError(errors_begin() + ": " + what + " has " + std::to_string(*array.size()) +
                             " values, but the shape (" + shape_text(shape) + ", " +
                             std::to_string(parts.channels) + " channels) has " + std::to_string(due));
        return array.data();
    }
    void require_slices(std::size_t count, const char* what) const {
        if (static_cast<int>(count) != parts.groups.hosted_replicas())
            throw UsageError(errors_begin() + " " + what + ": one slice for each of the rank's " +
                             std::to_string(parts.groups.hosted_replicas()) + " replicas is needed");
    }
    void end(Pass expected, const char* what) {
        if (pass != expected) throw UsageError(errors_begin() + ": end_" + what + " without begin_" + what);
        pass = Pass::none;
    }

    /// Makes the options the layer's, if they are the same on all ranks.
    void change(BatchNormOptions changed, const std::string& what) {
        require_idle();
        const ReplicaPlacement same;  // not at issue
        const std::string fault = fault_of([&] {
            BatchNormOptions named = changed;
            named.name = parts.name;
            check(named, parts.channels);
        });
        check_agreement(parts.communicator, what + " " + errors_begin(),
                        settings_of(changed, same, parts.communicator.size()), fault);
        parts.options = std::move(changed);
        parts.averages.set_momentum(parts.options.momentum);
    }

    void begin_backward(BackwardSlices slices, const BatchMoments& saved, bool wants_dx,
                        const Written& written) {
        require_slices(slices.size(), "backward");
        backward.begin(slices, saved, wants_dx, written);
        pass = Pass::backward;
    }
    /// Of one replica: its dγ and dβ are added to the layer's.
    void begin_backward(const Scalar* x, const Scalar* dz, Scalar* dx, const BatchShape& shape,
                        const BatchMoments& saved, bool wants_dx) {
        Scalar* const own = slice_gradients.data();
        backward_slice = {x, dz, dx, shape, own, own + parts.channels};
        begin_backward(std::span(&backward_slice, 1), saved, wants_dx, {});
        for (std::size_t i = 0; i < gradients.size(); ++i) gradients[i] += own[i];
    }
};

}  // namespace lockstep
