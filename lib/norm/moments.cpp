#include <lockstep/norm/moments.hpp>

#include <algorithm>

namespace lockstep {

void merge_moments(double* left, const double* right, Index channels) {
    const MomentsView<double> a{left, channels};
    const MomentsView<const double> b{right, channels};
    if (b.count() == 0) return;
    if (a.count() == 0) {
        std::copy_n(right, moments_size(channels), left);
        return;
    }
    const double count = a.count() + b.count();
    const double right_share = b.count() / count;
    const double weight = a.count() * right_share;
    for (Index c = 0; c < channels; ++c) {
        const double delta = b.mean()[c] - a.mean()[c];
        a.mean()[c] += delta * right_share;
        a.m2()[c] += b.m2()[c] + delta * delta * weight;
    }
    a.count() = count;
}

PopulationMoments::PopulationMoments(Index channels)
    : channels_(channels), moments_(static_cast<std::size_t>(moments_size(channels)), 0.0) {}

void PopulationMoments::add(const double* moments) {
    if (moments[0] > 0) ++batches_;
    merge_moments(moments_.data(), moments, channels_);
}

}  // namespace lockstep
