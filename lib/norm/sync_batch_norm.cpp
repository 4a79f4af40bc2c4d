#include "layer_checks.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/comm/agreement.hpp>
#include <lockstep/comm/failure_guard.hpp>
#include <lockstep/norm/moments.hpp>
#include <lockstep/norm/sync_batch_norm.hpp>

#include <algorithm>
#include <atomic>

namespace lockstep {
namespace {

/// What layers of this process have in common: names that no two of them share have to be counted somewhere.
std::atomic<std::int64_t> layers_without_name{0};
std::atomic<std::uint64_t> identities{0};

}  // namespace

void BatchMoments::resize(std::size_t groups, std::size_t channels) {
    channels_ = channels;
    counts_.resize(groups);
    means_.resize(groups * channels);
    variances_.resize(groups * channels);
    inverse_deviations_.resize(groups * channels);
}

template <class Scalar>
SyncBatchNorm<Scalar>::SyncBatchNorm(Index channels, const Communicator& communicator,
                                     BatchNormOptions options, ReplicaPlacement placement)
    : channels_(channels), options_(std::move(options)), communicator_(communicator) {
    connect(communicator, placement);
    owned_.assign(4 * size(), Scalar(0));
    storage_ = {owned_.data(), owned_.data() + size(), owned_.data() + 2 * size(),
                owned_.data() + 3 * size()};
    std::ranges::fill(gamma(), Scalar(1));
    std::ranges::fill(running_var(), Scalar(1));
    gradients_.assign(2 * size(), Scalar(0));
    single_gradient_.assign(2 * size(), Scalar(0));
    for (auto* coefficients :
         {&shift_, &scale_, &offset_, &gradient_scale_, &input_scale_, &gradient_offset_})
        coefficients->resize(size());
}

template <class Scalar>
std::int64_t SyncBatchNorm<Scalar>::agree(const Communicator& communicator,
                                          const ReplicaPlacement& placement) const {
    Settings settings = settings_of(options_, placement, communicator.size());
    settings.emplace_back("channels", std::to_string(channels_));
    settings.emplace_back("type", sizeof(Scalar) == sizeof(float) ? "float" : "double");
    const std::string fault = fault_of([&] {
        check(options_, channels_);
        const ReplicaMap map(placement.replicas.value_or(communicator.size()), communicator.size());
        map.groups(placement.group.value_or(map.replicas()));
    });
    const std::int64_t before = layers_without_name;
    const std::int64_t number = check_agreement(communicator, "batch norm", settings, fault, before + 1);
    if (options_.name.empty()) layers_without_name = number;
    return number;
}

template <class Scalar>
void SyncBatchNorm<Scalar>::connect(const Communicator& communicator, const ReplicaPlacement& placement) {
    const std::int64_t number = agree(communicator, placement);
    const ReplicaMap map(placement.replicas.value_or(communicator.size()), communicator.size());
    const int group_size = placement.group.value_or(map.replicas());
    const auto moments = static_cast<std::size_t>(moments_size(channels_));
    const auto merge = [channels = channels_](double* left, const double* right) {
        merge_moments(left, right, channels);
    };
    const ReplicaRange hosted = map.block(communicator.rank());
    std::vector<Group> groups;
    for (const ReplicaRange range : map.groups(group_size)) {
        const ReplicaRange here = intersection(range, hosted);
        if (here.empty()) continue;
        groups.push_back(
            {{here.begin - hosted.begin, here.end - hosted.begin},
             std::make_unique<TreeExchange>(communicator, map, range, moments, merge),
             std::make_unique<TreeExchange>(communicator, map, range, 2 * size(), sum_merge(2 * size()))});
    }
    // Nothing has changed so far: an error leaves the layer as it was.
    groups_ = std::move(groups);
    hosted_ = hosted;
    global_ = group_size == map.replicas();
    group_moments_ = nullptr;
    if (options_.running_update == RunningUpdate::deferred)
        replica_moments_.assign(moments * static_cast<std::size_t>(hosted_.size()), 0.0);
    communicator_ = communicator;
    identity_ = ++identities;
    name_ = options_.name.empty() ? "layer " + std::to_string(number) : options_.name;
    forward_label_ = ExchangeLabel(name_, ExchangeKind::forward_moments, channels_, sizeof(Scalar));
    backward_label_ = ExchangeLabel(name_, ExchangeKind::backward_sums, channels_, sizeof(Scalar));
}

template <class Scalar>
void SyncBatchNorm<Scalar>::change_communicator(const Communicator& communicator,
                                                ReplicaPlacement placement) {
    require_idle();
    connect(communicator, placement);
}

template <class Scalar>
void SyncBatchNorm<Scalar>::require_idle() const {
    if (pass_ != Pass::none)
        throw UsageError("batch norm '" + name_ + "': a " +
                         (pass_ == Pass::forward ? "forward" : "backward") + " is under way; end it first");
}

template <class Scalar>
void SyncBatchNorm<Scalar>::require_shape(const BatchShape& shape) const {
    check(shape, channels_, sizeof(Scalar), name_);
}

template <class Scalar>
void SyncBatchNorm<Scalar>::require_size(std::size_t given, const BatchShape& shape, const char* what) const {
    require_shape(shape);
    const auto due = static_cast<std::size_t>(shape.values() * channels_);
    if (given != due)
        throw UsageError("batch norm '" + name_ + "': " + what + " has " + std::to_string(given) +
                         " values, but the shape (" + shape_text(shape) + ", " + std::to_string(channels_) +
                         " channels) has " + std::to_string(due));
}

template <class Scalar>
void SyncBatchNorm<Scalar>::require_moments_of(std::span<const BackwardSlice<Scalar>> slices,
                                               const BatchMoments& saved) const {
    if (saved.layer_ != identity_)
        throw UsageError("batch norm '" + name_ + "' backward: the saved moments are not from a forward of " +
                         (saved.layer_ == 0 ? "any layer" : "this layer on this communicator"));
    for (std::size_t i = 0; i < slices.size(); ++i)
        if (slices[i].shape != saved.shapes_[i])
            throw UsageError(
                "batch norm '" + name_ + "' backward: the shape is (" + shape_text(slices[i].shape) +
                "), but the forward that saved these moments had (" + shape_text(saved.shapes_[i]) + ")" +
                (slices.size() > 1 ? " in slice " + std::to_string(i) : std::string()));
}

// --- forward -------------------------------------------------------------------------------------------

template <class Scalar>
void SyncBatchNorm<Scalar>::forward(const Scalar* x, Scalar* z, const BatchShape& shape,
                                    BatchMoments& saved) {
    begin_forward(x, z, shape, saved);
    end_forward();
}

template <class Scalar>
void SyncBatchNorm<Scalar>::forward(std::span<const Scalar> x, std::span<Scalar> z, const BatchShape& shape,
                                    BatchMoments& saved) {
    require_size(x.size(), shape, "x");
    require_size(z.size(), shape, "z");
    forward(x.data(), z.data(), shape, saved);
}

template <class Scalar>
void SyncBatchNorm<Scalar>::forward(std::span<const ForwardSlice<Scalar>> slices, BatchMoments& saved) {
    begin_forward(slices, saved);
    end_forward();
}

template <class Scalar>
void SyncBatchNorm<Scalar>::begin_forward(const Scalar* x, Scalar* z, const BatchShape& shape,
                                          BatchMoments& saved) {
    require_idle();
    single_forward_ = {x, z, shape};
    begin_forward(std::span(&single_forward_, 1), saved);
}

template <class Scalar>
void SyncBatchNorm<Scalar>::begin_forward(std::span<const ForwardSlice<Scalar>> slices, BatchMoments& saved) {
    require_idle();
    if (static_cast<int>(slices.size()) != hosted_.size())
        throw UsageError("batch norm '" + name_ + "' forward: one slice for each of the rank's " +
                         std::to_string(hosted_.size()) + " replicas is needed");
    for (const ForwardSlice<Scalar>& slice : slices) require_shape(slice.shape);
    saved.resize(groups_.size(), size());
    saved.layer_ = identity_;
    saved.shapes_.resize(slices.size());
    for (std::size_t i = 0; i < slices.size(); ++i) saved.shapes_[i] = slices[i].shape;
    saved.frozen_ = options_.frozen;
    forward_slices_ = slices;
    forward_moments_ = &saved;
    exchanges_ = !options_.frozen;
    if (exchanges_) start_moments();
    pass_ = Pass::forward;
}

template <class Scalar>
void SyncBatchNorm<Scalar>::start_moments() {
    ++forward_label_.call;
    for (const Group& group : groups_) {
        if (group.is_alone()) continue;  // end_forward does it all in one go
        for (int i = group.hosted.begin; i < group.hosted.end; ++i) {
            const ForwardSlice<Scalar>& slice = forward_slices_[static_cast<std::size_t>(i)];
            double* const leaf = group.moments->leaf(i - group.hosted.begin);
            batch_moments(slice.x, channels_, slice.shape, leaf);
            if (options_.running_update == RunningUpdate::deferred)
                std::copy_n(leaf, moments_size(channels_),
                            replica_moments_.data() + i * moments_size(channels_));
            group.moments->push(i - group.hosted.begin);
        }
        group.moments->start(forward_label_);
    }
}

template <class Scalar>
void SyncBatchNorm<Scalar>::end_forward() {
    if (pass_ != Pass::forward)
        throw UsageError("batch norm '" + name_ + "': end_forward without begin_forward");
    pass_ = Pass::none;
    group_moments_ = nullptr;
    if (!exchanges_) freeze_moments(*forward_moments_);
    for (int g = 0; g < hosted_groups(); ++g) {
        const Group& group = groups_[static_cast<std::size_t>(g)];
        if (exchanges_ && group.is_alone()) {
            forward_alone(g);
            continue;
        }
        if (exchanges_) save_moments(g, group.moments->wait(), all_channels());
        compute_normalization(*forward_moments_, g, all_channels());
        for (int i = group.hosted.begin; i < group.hosted.end; ++i) {
            const ForwardSlice<Scalar>& slice = forward_slices_[static_cast<std::size_t>(i)];
            normalize(slice.x, slice.z, channels_, slice.shape, normalization(), options_.activation);
        }
    }
    if (exchanges_ && options_.running_update == RunningUpdate::automatic && options_.track_running_averages)
        update_running_averages(group_moments_);
}

template <class Scalar>
bool SyncBatchNorm<Scalar>::poll() {
    if (pass_ == Pass::none || !exchanges_) return true;
    bool complete = true;
    for (const Group& group : groups_)
        if (!group.is_alone())
            complete = (pass_ == Pass::forward ? group.moments : group.sums)->poll() && complete;
    return complete;
}

// --- backward ------------------------------------------------------------------------------------------

template <class Scalar>
void SyncBatchNorm<Scalar>::backward(const Scalar* x, const Scalar* dz, Scalar* dx, const BatchShape& shape,
                                     const BatchMoments& saved) {
    begin_backward(x, dz, dx, shape, saved);
    end_backward();
}

template <class Scalar>
void SyncBatchNorm<Scalar>::backward(std::span<const Scalar> x, std::span<const Scalar> dz,
                                     std::span<Scalar> dx, const BatchShape& shape,
                                     const BatchMoments& saved) {
    require_size(x.size(), shape, "x");
    require_size(dz.size(), shape, "dz");
    require_size(dx.size(), shape, "dx");
    backward(x.data(), dz.data(), dx.data(), shape, saved);
}

template <class Scalar>
void SyncBatchNorm<Scalar>::backward(std::span<const BackwardSlice<Scalar>> slices, const BatchMoments& saved,
                                     const std::function<void(int)>& written) {
    begin_backward(slices, saved, written);
    end_backward();
}

template <class Scalar>
void SyncBatchNorm<Scalar>::backward_parameters(const Scalar* x, const Scalar* dz, const BatchShape& shape,
                                                const BatchMoments& saved) {
    require_idle();
    Scalar* const own = single_gradient_.data();
    single_backward_ = {x, dz, nullptr, shape, own, own + channels_};
    start_sums(std::span(&single_backward_, 1), saved, false, {});
    add_single_gradient();
    end_backward();
}

template <class Scalar>
void SyncBatchNorm<Scalar>::begin_backward(const Scalar* x, const Scalar* dz, Scalar* dx,
                                           const BatchShape& shape, const BatchMoments& saved) {
    require_idle();
    require_shape(shape);
    // Null is what an empty array has. Elsewhere it would mean that no dx is wanted, which no rank may
    // decide alone.
    if (dx == nullptr && shape.values() > 0)
        throw UsageError("batch norm '" + name_ +
                         "' backward: dx is null (backward_parameters is for layers whose dx nobody wants)");
    Scalar* const own = single_gradient_.data();
    single_backward_ = {x, dz, dx, shape, own, own + channels_};
    start_sums(std::span(&single_backward_, 1), saved, true, {});
    add_single_gradient();
}

template <class Scalar>
void SyncBatchNorm<Scalar>::begin_backward(std::span<const BackwardSlice<Scalar>> slices,
                                           const BatchMoments& saved,
                                           const std::function<void(int)>& written) {
    require_idle();
    start_sums(slices, saved,
               std::ranges::any_of(slices, [](const auto& slice) { return slice.dx != nullptr; }), written);
}

template <class Scalar>
void SyncBatchNorm<Scalar>::start_sums(std::span<const BackwardSlice<Scalar>> slices,
                                       const BatchMoments& saved, bool exchange,
                                       const std::function<void(int)>& written) {
    if (static_cast<int>(slices.size()) != hosted_.size())
        throw UsageError("batch norm '" + name_ + "' backward: one slice for each of the rank's " +
                         std::to_string(hosted_.size()) + " replicas is needed");
    require_moments_of(slices, saved);
    backward_slices_ = slices;
    backward_moments_ = &saved;
    exchanges_ = exchange && !saved.frozen_;
    if (exchanges_) ++backward_label_.call;
    for (int g = 0; g < hosted_groups(); ++g) {
        const Group& group = groups_[static_cast<std::size_t>(g)];
        recall_normalization(saved, g, all_channels());
        if (exchanges_ && group.is_alone()) {
            backward_alone(g);
            if (written) written(group.hosted.begin);
            continue;
        }
        for (int i = group.hosted.begin; i < group.hosted.end; ++i) {
            const BackwardSlice<Scalar>& slice = slices[static_cast<std::size_t>(i)];
            double* const leaf = group.sums->leaf(i - group.hosted.begin);
            gradient_sums(slice.x, slice.dz, channels_, slice.shape, normalization(), options_.activation,
                          leaf);
            write_parameter_gradients(slice, saved, g, leaf);
            if (written) written(i);
            group.sums->push(i - group.hosted.begin);
        }
        if (exchanges_) group.sums->start(backward_label_);
    }
    pass_ = Pass::backward;
}

template <class Scalar>
void SyncBatchNorm<Scalar>::end_backward() {
    if (pass_ != Pass::backward)
        throw UsageError("batch norm '" + name_ + "': end_backward without begin_backward");
    pass_ = Pass::none;
    for (int g = 0; g < hosted_groups(); ++g) {
        const Group& group = groups_[static_cast<std::size_t>(g)];
        if (exchanges_ && group.is_alone()) continue;
        recall_normalization(*backward_moments_, g, all_channels());
        compute_input_gradient(*backward_moments_, g, exchanges_ ? group.sums->wait() : nullptr,
                               all_channels());
        for (int i = group.hosted.begin; i < group.hosted.end; ++i) {
            const BackwardSlice<Scalar>& slice = backward_slices_[static_cast<std::size_t>(i)];
            if (slice.dx == nullptr) continue;
            input_gradient(slice.x, slice.dz, slice.dx, channels_, slice.shape, input_gradient_coefficients(),
                           options_.activation);
        }
    }
}

template <class Scalar>
void SyncBatchNorm<Scalar>::add_single_gradient() {
    for (std::size_t i = 0; i < gradients_.size(); ++i) gradients_[i] += single_gradient_[i];
}

template class SyncBatchNorm<float>;
template class SyncBatchNorm<double>;

}  // namespace lockstep
