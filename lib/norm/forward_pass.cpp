#include "forward_pass.hpp"

#include "cached_ranges.hpp"

#include <algorithm>

namespace lockstep {

template <class Scalar>
void ForwardPass<Scalar>::connect() {
    label_ = ExchangeLabel(layer_.name, ExchangeKind::forward_moments, layer_.channels, sizeof(Scalar));
    group_moments_ = nullptr;
    if (layer_.options.running_update == RunningUpdate::deferred)
        replica_moments_.assign(
            static_cast<std::size_t>(moments_size(layer_.channels) * layer_.groups.hosted_replicas()), 0.0);
}

template <class Scalar>
void ForwardPass<Scalar>::begin(std::span<const ForwardSlice<Scalar>> slices, BatchMoments& saved) {
    slices_ = slices;
    saved_.emplace(saved);
    takes_moments_ = !layer_.options.frozen;
    saved_->begin(layer_.identity, layer_.groups.size(), layer_.channels, slices, !takes_moments_);
    if (!takes_moments_) return;
    ++label_.call;
    for (const StatisticsGroup& group : layer_.groups)
        if (!group.is_alone()) start_exchange(group);  // otherwise end does it all in one go
}

template <class Scalar>
void ForwardPass<Scalar>::start_exchange(const StatisticsGroup& group) {
    for (int i = group.hosted.begin; i < group.hosted.end; ++i) {
        const ForwardSlice<Scalar>& slice = slices_[static_cast<std::size_t>(i)];
        double* const leaf = group.moments->leaf(i - group.hosted.begin);
        batch_moments(slice.x, layer_.channels, slice.shape, leaf, &layer_.team);
        keep_moments(i, leaf);
        group.moments->push(i - group.hosted.begin);
    }
    group.moments->start(label_);
}

template <class Scalar>
void ForwardPass<Scalar>::keep_moments(int replica, const double* moments) {
    if (layer_.options.running_update != RunningUpdate::deferred) return;
    const Index values = moments_size(layer_.channels);
    std::copy_n(moments, values, replica_moments_.data() + replica * values);
}

template <class Scalar>
bool ForwardPass<Scalar>::poll() {
    bool complete = true;
    if (takes_moments_)
        for (const StatisticsGroup& group : layer_.groups)
            if (!group.is_alone()) complete = group.moments->poll() && complete;
    return complete;
}

template <class Scalar>
void ForwardPass<Scalar>::end() {
    group_moments_ = nullptr;
    if (!takes_moments_) saved_->keep(layer_.averages, layer_.options.epsilon);
    for (int g = 0; g < layer_.groups.size(); ++g) {
        const StatisticsGroup& group = layer_.groups[g];
        if (takes_moments_ && group.is_alone()) {
            run_alone(g);
            continue;
        }
        if (takes_moments_) {
            const double* const moments = group.moments->wait();
            if (g == 0) group_moments_ = moments;
            saved_->keep_count(g, moments[0]);
            saved_->keep(g, moments, layer_.options.epsilon, layer_.all_channels());
        }
        normalize_group(g);
    }
    if (takes_moments_ && layer_.options.running_update == RunningUpdate::automatic &&
        layer_.options.track_running_averages)
        layer_.averages.update(group_moments_);
}

template <class Scalar>
void ForwardPass<Scalar>::normalize_group(int g) {
    const StatisticsGroup& group = layer_.groups[g];
    layer_.coefficients.normalize(saved_->group(g), layer_.gamma, layer_.beta, layer_.all_channels());
    for (int i = group.hosted.begin; i < group.hosted.end; ++i) {
        const ForwardSlice<Scalar>& slice = slices_[static_cast<std::size_t>(i)];
        normalize(slice.x, slice.z, layer_.channels, slice.shape, layer_.coefficients.forward(),
                  layer_.options.activation, &layer_.team);
    }
}

/// Nothing has to be awaited between the two kernels: they take turns, on as many channels as a cache holds, and the
/// second finds there what the first has read.
template <class Scalar>
void ForwardPass<Scalar>::run_alone(int g) {
    const StatisticsGroup& group = layer_.groups[g];
    const ForwardSlice<Scalar>& slice = slices_[static_cast<std::size_t>(group.hosted.begin)];
    double* const moments = group.moments->leaf(0);
    const auto run = [&](ChannelRange range, KernelTeam* team) {
        batch_moments(slice.x, layer_.channels, slice.shape, range, moments, team);
        saved_->keep(g, moments, layer_.options.epsilon, range);
        layer_.coefficients.normalize(saved_->group(g), layer_.gamma, layer_.beta, range);
        normalize(slice.x, slice.z, layer_.channels, slice.shape, range, layer_.coefficients.forward(),
                  layer_.options.activation, team);
    };
    saved_->keep_count(g, static_cast<double>(slice.shape.values()));
    for_cached_ranges(layer_.team, layer_.channels, slice.shape, sizeof(Scalar), run);
    if (g == 0) group_moments_ = moments;
    keep_moments(group.hosted.begin, moments);
}

template class ForwardPass<float>;
template class ForwardPass<double>;

}  // namespace lockstep
