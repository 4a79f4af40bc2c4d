#include "layer_state.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/comm/agreement.hpp>
#include <lockstep/comm/failure_guard.hpp>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <utility>

namespace lockstep {
namespace {

/// What layers of this process have in common: names that no two of them share have to be counted somewhere.
std::atomic<std::int64_t> layers_without_name{0};
std::atomic<std::uint64_t> identities{0};

/// Makes sure that the ranks mean the same layer, and returns its name.
std::string agree(Index channels, std::size_t value_bytes, const Communicator& communicator,
                  const BatchNormOptions& options, const ReplicaPlacement& placement) {
    Settings settings = settings_of(options, placement, communicator.size());
    settings.emplace_back("channels", std::to_string(channels));
    settings.emplace_back("type", value_bytes == sizeof(float) ? "float" : "double");
    const std::string fault = fault_of([&] {
        check(options, channels);
        const ReplicaMap map(placement.replicas.value_or(communicator.size()), communicator.size());
        map.groups(placement.group.value_or(map.replicas()));
    });
    const std::int64_t before = layers_without_name;
    const std::int64_t number = check_agreement(communicator, "batch norm", settings, fault, before + 1);
    if (!options.name.empty()) return options.name;
    layers_without_name = number;
    return "layer " + std::to_string(number);
}

template <class Scalar>
LayerParts<Scalar> make_parts(Index channels, const Communicator& communicator, BatchNormOptions options,
                              const ReplicaPlacement& placement) {
    const std::string name = agree(channels, sizeof(Scalar), communicator, options, placement);
    return {.channels = channels,
            .options = options,
            .communicator = communicator,
            .groups = StatisticsGroups(communicator, placement, channels),
            .name = name,
            .identity = ++identities,
            .gamma = nullptr,
            .beta = nullptr,
            .averages = RunningAverages<Scalar>(channels, options.momentum, name),
            .coefficients = ChannelCoefficients<Scalar>(channels)};
}

}  // namespace

template <class Scalar>
SyncBatchNorm<Scalar>::SyncBatchNorm(Index channels, const Communicator& communicator,
                                     BatchNormOptions options, ReplicaPlacement placement)
    : state_(new State{.parts = make_parts<Scalar>(channels, communicator, std::move(options), placement)}) {
    State& s = *state_;
    s.own_parameters.assign(2 * s.size(), Scalar(0));
    s.parts.gamma = s.own_parameters.data();
    s.parts.beta = s.parts.gamma + channels;
    std::ranges::fill(gamma(), Scalar(1));
    s.gradients.assign(2 * s.size(), Scalar(0));
    s.slice_gradients.assign(2 * s.size(), Scalar(0));
}

template <class Scalar>
SyncBatchNorm<Scalar>::~SyncBatchNorm() = default;
template <class Scalar>
SyncBatchNorm<Scalar>::SyncBatchNorm(SyncBatchNorm&&) noexcept = default;
template <class Scalar>
SyncBatchNorm<Scalar>& SyncBatchNorm<Scalar>::operator=(SyncBatchNorm&&) noexcept = default;

template <class Scalar>
Index SyncBatchNorm<Scalar>::channels() const {
    return state_->parts.channels;
}

template <class Scalar>
const BatchNormOptions& SyncBatchNorm<Scalar>::options() const {
    return state_->parts.options;
}

template <class Scalar>
const std::string& SyncBatchNorm<Scalar>::name() const {
    return state_->parts.name;
}

template <class Scalar>
const Communicator& SyncBatchNorm<Scalar>::communicator() const {
    return state_->parts.communicator;
}

template <class Scalar>
const StatisticsGroups& SyncBatchNorm<Scalar>::groups() const {
    return state_->parts.groups;
}

// --- forward -----------------------------------------------------------------------------------------------

template <class Scalar>
void SyncBatchNorm<Scalar>::begin_forward(Input x, Output z, const BatchShape& shape, BatchMoments& saved) {
    State& s = *state_;
    s.require_idle();
    s.require_shape(shape);
    s.forward_slice = {s.require_size(x, shape, "x"), s.require_size(z, shape, "z"), shape};
    begin_forward(std::span(&s.forward_slice, 1), saved);
}

template <class Scalar>
void SyncBatchNorm<Scalar>::begin_forward(ForwardSlices slices, BatchMoments& saved) {
    State& s = *state_;
    s.require_idle();
    s.require_slices(slices.size(), "forward");
    for (const ForwardSlice<Scalar>& slice : slices) s.require_shape(slice.shape);
    s.forward.begin(slices, saved);
    s.pass = Pass::forward;
}

template <class Scalar>
void SyncBatchNorm<Scalar>::end_forward() {
    state_->end(Pass::forward, "forward");
    state_->forward.end();
}

template <class Scalar>
void SyncBatchNorm<Scalar>::forward(Input x, Output z, const BatchShape& shape, BatchMoments& saved) {
    begin_forward(x, z, shape, saved);
    end_forward();
}

template <class Scalar>
void SyncBatchNorm<Scalar>::forward(ForwardSlices slices, BatchMoments& saved) {
    begin_forward(slices, saved);
    end_forward();
}

// --- backward ----------------------------------------------------------------------------------------------

template <class Scalar>
void SyncBatchNorm<Scalar>::begin_backward(Input x, Input dz, Output dx, const BatchShape& shape,
                                           const BatchMoments& saved) {
    State& s = *state_;
    s.require_idle();
    s.require_shape(shape);
    // Null is what an empty array has. Elsewhere it would mean that no dx is wanted, which no rank may decide alone.
    if (dx.data() == nullptr && shape.values() > 0)
        throw UsageError(s.errors_begin() +
                         " backward: dx is null (backward_parameters is for layers whose dx nobody wants)");
    s.begin_backward(s.require_size(x, shape, "x"), s.require_size(dz, shape, "dz"),
                     s.require_size(dx, shape, "dx"), shape, saved, true);
}

template <class Scalar>
void SyncBatchNorm<Scalar>::begin_backward(BackwardSlices slices, const BatchMoments& saved,
                                           const Written& written) {
    state_->require_idle();
    const bool wants_dx = std::ranges::any_of(slices, [](const auto& slice) { return slice.dx != nullptr; });
    state_->begin_backward(slices, saved, wants_dx, written);
}

template <class Scalar>
void SyncBatchNorm<Scalar>::end_backward() {
    state_->end(Pass::backward, "backward");
    state_->backward.end();
}

template <class Scalar>
void SyncBatchNorm<Scalar>::backward(Input x, Input dz, Output dx, const BatchShape& shape,
                                     const BatchMoments& saved) {
    begin_backward(x, dz, dx, shape, saved);
    end_backward();
}

template <class Scalar>
void SyncBatchNorm<Scalar>::backward(BackwardSlices slices, const BatchMoments& saved,
                                     const Written& written) {
    begin_backward(slices, saved, written);
    end_backward();
}

template <class Scalar>
void SyncBatchNorm<Scalar>::backward_parameters(Input x, Input dz, const BatchShape& shape,
                                                const BatchMoments& saved) {
    State& s = *state_;
    s.require_idle();
    s.require_shape(shape);
    s.begin_backward(s.require_size(x, shape, "x"), s.require_size(dz, shape, "dz"), nullptr, shape, saved,
                     false);
    end_backward();
}

template <class Scalar>
bool SyncBatchNorm<Scalar>::poll() {
    State& s = *state_;
    if (s.pass == Pass::none) return true;
    return s.pass == Pass::forward ? s.forward.poll() : s.backward.poll();
}

// --- evaluation --------------------------------------------------------------------------------------------

template <class Scalar>
void SyncBatchNorm<Scalar>::infer(Input x, Output z, const BatchShape& shape) const {
    const State& s = *state_;
    s.require_tracking();
    s.require_shape(shape);
    // The layer's own buffers would do, but not for several threads at a time.
    AlignedVector<Scalar> scale(s.size());
    const Scalar* const variance = s.parts.averages.var().data();
    const double epsilon = s.parts.options.epsilon;
    for (std::size_t c = 0; c < s.size(); ++c)
        scale[c] = static_cast<Scalar>(static_cast<double>(s.parts.gamma[c]) /
                                       std::sqrt(static_cast<double>(variance[c]) + epsilon));
    KernelTeam team(s.parts.team.executor());
    normalize(s.require_size(x, shape, "x"), s.require_size(z, shape, "z"), s.parts.channels, shape,
              {s.parts.averages.mean().data(), scale.data(), s.parts.beta}, s.parts.options.activation,
              &team);
}

// --- parameters, gradients, running averages ---------------------------------------------------------------

template <class Scalar>
std::span<Scalar> SyncBatchNorm<Scalar>::gamma() {
    return {state_->parts.gamma, state_->size()};
}

template <class Scalar>
std::span<Scalar> SyncBatchNorm<Scalar>::beta() {
    return {state_->parts.beta, state_->size()};
}

template <class Scalar>
std::span<const Scalar> SyncBatchNorm<Scalar>::gamma() const {
    return {state_->parts.gamma, state_->size()};
}

template <class Scalar>
std::span<const Scalar> SyncBatchNorm<Scalar>::beta() const {
    return {state_->parts.beta, state_->size()};
}

template <class Scalar>
std::span<Scalar> SyncBatchNorm<Scalar>::gradients() {
    return state_->gradients;
}

template <class Scalar>
std::span<const Scalar> SyncBatchNorm<Scalar>::gradients() const {
    return state_->gradients;
}

template <class Scalar>
void SyncBatchNorm<Scalar>::zero_gradients() {
    std::ranges::fill(state_->gradients, Scalar(0));
}

template <class Scalar>
std::span<Scalar> SyncBatchNorm<Scalar>::running_mean() {
    return state_->parts.averages.mean();
}

template <class Scalar>
std::span<Scalar> SyncBatchNorm<Scalar>::running_var() {
    return state_->parts.averages.var();
}

template <class Scalar>
std::span<const Scalar> SyncBatchNorm<Scalar>::running_mean() const {
    return std::as_const(state_->parts.averages).mean();
}

template <class Scalar>
std::span<const Scalar> SyncBatchNorm<Scalar>::running_var() const {
    return std::as_const(state_->parts.averages).var();
}

template <class Scalar>
RunningAverages<Scalar>& SyncBatchNorm<Scalar>::averages() {
    state_->require_tracking();
    return state_->parts.averages;
}

template <class Scalar>
const RunningAverages<Scalar>& SyncBatchNorm<Scalar>::averages() const {
    state_->require_tracking();
    return state_->parts.averages;
}

template <class Scalar>
std::vector<NamedValues<Scalar>> SyncBatchNorm<Scalar>::state() {
    std::vector<NamedValues<Scalar>> values;
    if (options().affine) {
        values.push_back({"weight", gamma()});
        values.push_back({"bias", beta()});
    }
    if (options().track_running_averages) {
        values.push_back({"running_mean", running_mean()});
        values.push_back({"running_var", running_var()});
    }
    return values;
}

template <class Scalar>
void SyncBatchNorm<Scalar>::bind(const BatchNormStorage<Scalar>& storage) {
    std::ranges::copy(gamma(), storage.gamma);
    std::ranges::copy(beta(), storage.beta);
    state_->parts.averages.bind(storage.running_mean, storage.running_var);
    state_->parts.gamma = storage.gamma;
    state_->parts.beta = storage.beta;
    state_->own_parameters = {};
}

template <class Scalar>
const double* SyncBatchNorm<Scalar>::group_moments() const {
    return state_->forward.group_moments();
}

template <class Scalar>
const double* SyncBatchNorm<Scalar>::replica_moments(int i) const {
    if (options().running_update != RunningUpdate::deferred)
        throw UsageError("batch norm: replica moments are kept only where the running update is deferred");
    return state_->forward.replica_moments(i);
}

// --- changes -----------------------------------------------------------------------------------------------

template <class Scalar>
void SyncBatchNorm<Scalar>::set_frozen(bool frozen) {
    BatchNormOptions changed = options();
    changed.frozen = frozen;
    state_->change(changed, "freezing");
}

template <class Scalar>
void SyncBatchNorm<Scalar>::set_epsilon(double epsilon) {
    BatchNormOptions changed = options();
    changed.epsilon = epsilon;
    state_->change(changed, "changing the epsilon of");
}

template <class Scalar>
void SyncBatchNorm<Scalar>::set_momentum(std::optional<double> momentum) {
    BatchNormOptions changed = options();
    changed.momentum = momentum;
    state_->change(changed, "changing the momentum of");
}

template <class Scalar>
void SyncBatchNorm<Scalar>::change_communicator(const Communicator& communicator,
                                                ReplicaPlacement placement) {
    State& s = *state_;
    s.require_idle();
    const std::string name = agree(s.parts.channels, sizeof(Scalar), communicator, options(), placement);
    s.parts.groups = StatisticsGroups(communicator, placement, s.parts.channels);
    // From here on nothing fails: an error leaves the layer as it was.
    s.parts.communicator = communicator;
    s.parts.name = name;
    s.parts.identity = ++identities;
    s.parts.averages.rename(name);
    s.forward.connect();
    s.backward.connect();
}

template <class Scalar>
void SyncBatchNorm<Scalar>::set_executor(Executor* executor) {
    state_->require_idle();
    state_->parts.team = KernelTeam(executor);
}

template class SyncBatchNorm<float>;
template class SyncBatchNorm<double>;

}  // namespace lockstep
