#include "backward_pass.hpp"

#include "cached_ranges.hpp"

#include <algorithm>

namespace lockstep {

template <class Scalar>
void BackwardPass<Scalar>::connect() {
    label_ = ExchangeLabel(layer_.name, ExchangeKind::backward_sums, layer_.channels, sizeof(Scalar));
}

template <class Scalar>
void BackwardPass<Scalar>::begin(std::span<const BackwardSlice<Scalar>> slices, const BatchMoments& saved,
                                 bool wants_dx, const std::function<void(int)>& written) {
    SavedStatistics::require(saved, layer_.identity, slices, layer_.name);
    slices_ = slices;
    saved_ = &saved;
    exchanges_ = wants_dx && !SavedStatistics::frozen(saved);
    if (exchanges_) ++label_.call;
    for (int g = 0; g < layer_.groups.size(); ++g) {
        const StatisticsGroup& group = layer_.groups[g];
        layer_.coefficients.recall(statistics(g), layer_.gamma, layer_.beta, layer_.options.activation,
                                   layer_.all_channels());
        if (exchanges_ && group.is_alone()) {
            run_alone(g);
            if (written) written(group.hosted.begin);
        } else {
            start_exchange(g, written);
        }
    }
}

template <class Scalar>
void BackwardPass<Scalar>::start_exchange(int g, const std::function<void(int)>& written) {
    const StatisticsGroup& group = layer_.groups[g];
    for (int i = group.hosted.begin; i < group.hosted.end; ++i) {
        const BackwardSlice<Scalar>& slice = slices_[static_cast<std::size_t>(i)];
        double* const leaf = group.sums->leaf(i - group.hosted.begin);
        gradient_sums(slice.x, slice.dz, layer_.channels, slice.shape, layer_.coefficients.forward(),
                      layer_.options.activation, leaf, &layer_.team);
        write_parameter_gradients(slice, g, leaf);
        if (written) written(i);
        group.sums->push(i - group.hosted.begin);
    }
    if (exchanges_) group.sums->start(label_);
}

template <class Scalar>
void BackwardPass<Scalar>::write_parameter_gradients(const BackwardSlice<Scalar>& slice, int g,
                                                     const double* sums) const {
    if (slice.gamma_gradient == nullptr) return;
    if (layer_.options.affine) {
        layer_.coefficients.parameter_gradients(statistics(g), sums, slice.gamma_gradient,
                                                slice.beta_gradient);
    } else {
        std::fill_n(slice.gamma_gradient, layer_.channels, Scalar(0));
        std::fill_n(slice.beta_gradient, layer_.channels, Scalar(0));
    }
}

template <class Scalar>
bool BackwardPass<Scalar>::poll() {
    bool complete = true;
    if (exchanges_)
        for (const StatisticsGroup& group : layer_.groups)
            if (!group.is_alone()) complete = group.sums->poll() && complete;
    return complete;
}

template <class Scalar>
void BackwardPass<Scalar>::end() {
    for (int g = 0; g < layer_.groups.size(); ++g) {
        const StatisticsGroup& group = layer_.groups[g];
        if (exchanges_ && group.is_alone()) continue;
        layer_.coefficients.recall(statistics(g), layer_.gamma, layer_.beta, layer_.options.activation,
                                   layer_.all_channels());
        layer_.coefficients.input_gradient(statistics(g), layer_.gamma,
                                           exchanges_ ? group.sums->wait() : nullptr, layer_.all_channels());
        for (int i = group.hosted.begin; i < group.hosted.end; ++i) {
            const BackwardSlice<Scalar>& slice = slices_[static_cast<std::size_t>(i)];
            if (slice.dx == nullptr) continue;
            input_gradient(slice.x, slice.dz, slice.dx, layer_.channels, slice.shape,
                           layer_.coefficients.backward(), layer_.options.activation, &layer_.team);
        }
    }
}

/// As in forward: two kernels that take turns on what a cache holds.
template <class Scalar>
void BackwardPass<Scalar>::run_alone(int g) {
    const StatisticsGroup& group = layer_.groups[g];
    const BackwardSlice<Scalar>& slice = slices_[static_cast<std::size_t>(group.hosted.begin)];
    double* const sums = group.sums->leaf(0);
    const auto run = [&](ChannelRange range, KernelTeam* team) {
        gradient_sums(slice.x, slice.dz, layer_.channels, slice.shape, range, layer_.coefficients.forward(),
                      layer_.options.activation, sums, team);
        if (slice.dx == nullptr) return;
        layer_.coefficients.input_gradient(statistics(g), layer_.gamma, sums, range);
        input_gradient(slice.x, slice.dz, slice.dx, layer_.channels, slice.shape, range,
                       layer_.coefficients.backward(), layer_.options.activation, team);
    };
    for_cached_ranges(layer_.team, layer_.channels, slice.shape, 2 * sizeof(Scalar), run);
    write_parameter_gradients(slice, g, sums);
}

template class BackwardPass<float>;
template class BackwardPass<double>;

}  // namespace lockstep
