#include "saved_statistics.hpp"

#include "layer_checks.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/norm/moments.hpp>

#include <algorithm>
#include <cmath>

namespace lockstep {

template <class Scalar>
void SavedStatistics::begin(std::uint64_t layer, int groups, Index channels,
                            std::span<const ForwardSlice<Scalar>> slices, bool frozen) {
    BatchMoments& saved = *moments_;
    const auto values = static_cast<std::size_t>(groups * channels);
    saved.layer_ = layer;
    saved.channels_ = static_cast<std::size_t>(channels);
    saved.frozen_ = frozen;
    saved.counts_.resize(static_cast<std::size_t>(groups));
    saved.means_.resize(values);
    saved.variances_.resize(values);
    saved.inverse_deviations_.resize(values);
    saved.shapes_.resize(slices.size());
    for (std::size_t i = 0; i < slices.size(); ++i) saved.shapes_[i] = slices[i].shape;
}

void SavedStatistics::keep_count(int group, double count) {
    moments_->counts_[static_cast<std::size_t>(group)] = count;
}

void SavedStatistics::keep(int group, const double* moments, double epsilon, ChannelRange range) {
    BatchMoments& saved = *moments_;
    const auto channels = static_cast<Index>(saved.channels_);
    const MomentsView<const double> pooled{moments, channels};
    const double count = saved.counts_[static_cast<std::size_t>(group)], share = count > 0 ? 1 / count : 0.0;
    const double* const mean = pooled.mean();
    const double* const m2 = pooled.m2();
    double* const means = saved.means_.data() + group * channels;
    double* const variances = saved.variances_.data() + group * channels;
    double* const inverse_deviations = saved.inverse_deviations_.data() + group * channels;
    for (Index c = range.begin; c < range.end; ++c) {
        const double variance = m2[c] * share;
        means[c] = mean[c];
        variances[c] = variance;
        inverse_deviations[c] = 1 / std::sqrt(variance + epsilon);
    }
}

template <class Scalar>
void SavedStatistics::keep(const RunningAverages<Scalar>& averages, double epsilon) {
    BatchMoments& saved = *moments_;
    std::ranges::fill(saved.counts_, 0.0);
    for (std::size_t i = 0; i < saved.means_.size(); ++i) {
        saved.means_[i] = static_cast<double>(averages.mean()[i % saved.channels_]);
        saved.variances_[i] = static_cast<double>(averages.var()[i % saved.channels_]);
        saved.inverse_deviations_[i] = 1 / std::sqrt(saved.variances_[i] + epsilon);
    }
}

GroupStatistics SavedStatistics::of(const BatchMoments& moments, int group) {
    const std::size_t first = static_cast<std::size_t>(group) * moments.channels_;
    return {moments.counts_[static_cast<std::size_t>(group)], moments.means_.data() + first,
            moments.inverse_deviations_.data() + first};
}

template <class Scalar>
void SavedStatistics::require(const BatchMoments& moments, std::uint64_t layer,
                              std::span<const BackwardSlice<Scalar>> slices, const std::string& name) {
    if (moments.layer_ != layer)
        throw UsageError("batch norm '" + name + "' backward: the saved moments are not from a forward of " +
                         (moments.layer_ == 0 ? "any layer" : "this layer on this communicator"));
    for (std::size_t i = 0; i < slices.size(); ++i)
        if (slices[i].shape != moments.shapes_[i])
            throw UsageError(
                "batch norm '" + name + "' backward: the shape is (" + shape_text(slices[i].shape) +
                "), but the forward that saved these moments had (" + shape_text(moments.shapes_[i]) + ")" +
                (slices.size() > 1 ? " in slice " + std::to_string(i) : std::string()));
}

#define LOCKSTEP_INSTANTIATE(Scalar)                                                                       \
    template void SavedStatistics::begin(std::uint64_t, int, Index, std::span<const ForwardSlice<Scalar>>, \
                                         bool);                                                            \
    template void SavedStatistics::keep(const RunningAverages<Scalar>&, double);                           \
    template void SavedStatistics::require(const BatchMoments&, std::uint64_t,                             \
                                           std::span<const BackwardSlice<Scalar>>, const std::string&)

LOCKSTEP_INSTANTIATE(float);
LOCKSTEP_INSTANTIATE(double);
#undef LOCKSTEP_INSTANTIATE

}  // namespace lockstep
