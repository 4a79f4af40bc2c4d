#include <lockstep/norm/moments.hpp>
#include <lockstep/norm/sync_batch_norm.hpp>

#include <algorithm>
#include <cmath>

// What is computed once for each channel, between the kernels; and the passes of a group that is one replica,
// which computes it for a few channels at a time. The passes in general are in sync_batch_norm.cpp.
namespace lockstep {

template <class Scalar>
void SyncBatchNorm<Scalar>::save_moments(int group, const double* moments, ChannelRange range) {
    if (group == 0) group_moments_ = moments;
    const MomentsView<const double> pooled{moments, channels_};
    BatchMoments& saved = *forward_moments_;
    const double count = pooled.count(), share = count > 0 ? 1 / count : 0.0;
    saved.counts_[static_cast<std::size_t>(group)] = count;
    const double* const mean = pooled.mean();
    const double* const m2 = pooled.m2();
    double* const means = saved.means_.data() + group * channels_;
    double* const variances = saved.variances_.data() + group * channels_;
    double* const inverse_deviations = saved.inverse_deviations_.data() + group * channels_;
    const double epsilon = options_.epsilon;  // read in the loop it might be what the loop writes: no vectors
    for (Index c = range.begin; c < range.end; ++c) {
        const double variance = m2[c] * share;
        means[c] = mean[c];
        variances[c] = variance;
        inverse_deviations[c] = 1 / std::sqrt(variance + epsilon);
    }
}

template <class Scalar>
void SyncBatchNorm<Scalar>::freeze_moments(BatchMoments& saved) const {
    std::ranges::fill(saved.counts_, 0.0);
    for (std::size_t i = 0; i < saved.means_.size(); ++i) {
        saved.means_[i] = static_cast<double>(storage_.running_mean[i % size()]);
        saved.variances_[i] = static_cast<double>(storage_.running_var[i % size()]);
        saved.inverse_deviations_[i] = 1 / std::sqrt(saved.variances_[i] + options_.epsilon);
    }
}

template <class Scalar>
void SyncBatchNorm<Scalar>::compute_shift(const BatchMoments& saved, int group, ChannelRange range) {
    const double* const mean = saved.means_.data() + group * channels_;
    Scalar* const shift = shift_.data();
    for (Index c = range.begin; c < range.end; ++c) shift[c] = static_cast<Scalar>(mean[c]);
}

template <class Scalar>
void SyncBatchNorm<Scalar>::compute_normalization(const BatchMoments& saved, int group, ChannelRange range) {
    compute_shift(saved, group, range);
    const double* const mean = saved.means_.data() + group * channels_;
    const double* const inverse_deviation = saved.inverse_deviations_.data() + group * channels_;
    const Scalar* const gamma = storage_.gamma;
    const Scalar* const beta = storage_.beta;
    const Scalar* const shift = shift_.data();
    Scalar* const scales = scale_.data();
    Scalar* const offsets = offset_.data();
    for (Index c = range.begin; c < range.end; ++c) {
        const double scale = static_cast<double>(gamma[c]) * inverse_deviation[c];
        scales[c] = static_cast<Scalar>(scale);
        offsets[c] = static_cast<Scalar>(static_cast<double>(beta[c]) -
                                         (mean[c] - static_cast<double>(shift[c])) * scale);
    }
}

template <class Scalar>
void SyncBatchNorm<Scalar>::recall_normalization(const BatchMoments& saved, int group, ChannelRange range) {
    // All of it tells where an activation let the gradient through.
    if (options_.activation == Activation::none)
        compute_shift(saved, group, range);
    else
        compute_normalization(saved, group, range);
}

template <class Scalar>
void SyncBatchNorm<Scalar>::write_parameter_gradients(const BackwardSlice<Scalar>& slice,
                                                      const BatchMoments& saved, int group,
                                                      const double* sums) const {
    if (slice.gamma_gradient == nullptr) return;
    if (!options_.affine) {
        std::fill_n(slice.gamma_gradient, channels_, Scalar(0));
        std::fill_n(slice.beta_gradient, channels_, Scalar(0));
        return;
    }
    const double* const mean = saved.means_.data() + group * channels_;
    const double* const inverse_deviation = saved.inverse_deviations_.data() + group * channels_;
    const Scalar* const shift = shift_.data();
    for (Index c = 0; c < channels_; ++c) {
        const double residue = mean[c] - static_cast<double>(shift[c]);
        slice.gamma_gradient[c] =
            static_cast<Scalar>((sums[channels_ + c] - residue * sums[c]) * inverse_deviation[c]);
        slice.beta_gradient[c] = static_cast<Scalar>(sums[c]);
    }
}

template <class Scalar>
void SyncBatchNorm<Scalar>::compute_input_gradient(const BatchMoments& saved, int group, const double* sums,
                                                   ChannelRange range) {
    const double* const mean = saved.means_.data() + group * channels_;
    const double* const inverse_deviation = saved.inverse_deviations_.data() + group * channels_;
    const Scalar* const gamma = storage_.gamma;
    const Scalar* const shift = shift_.data();
    Scalar* const gradient_scales = gradient_scale_.data();
    Scalar* const input_scales = input_scale_.data();
    Scalar* const offsets = gradient_offset_.data();
    if (sums == nullptr) {  // the statistics were constants: only the first term of dx is left
        for (Index c = range.begin; c < range.end; ++c) {
            gradient_scales[c] = static_cast<Scalar>(static_cast<double>(gamma[c]) * inverse_deviation[c]);
            input_scales[c] = offsets[c] = Scalar(0);
        }
        return;
    }
    const double share = 1 / std::max(1.0, saved.count(group));
    for (Index c = range.begin; c < range.end; ++c) {
        const double residue = mean[c] - static_cast<double>(shift[c]);
        const double gamma_gradient = (sums[channels_ + c] - residue * sums[c]) * inverse_deviation[c];
        const double gradient_scale = static_cast<double>(gamma[c]) * inverse_deviation[c];
        const double input_scale = -gradient_scale * inverse_deviation[c] * gamma_gradient * share;
        gradient_scales[c] = static_cast<Scalar>(gradient_scale);
        input_scales[c] = static_cast<Scalar>(input_scale);
        offsets[c] = static_cast<Scalar>(-gradient_scale * sums[c] * share - input_scale * residue);
    }
}

// Nothing has to be awaited between the two kernels: they take turns, on as many channels as a cache holds,
// and the second finds there what the first has read.

template <class Scalar>
void SyncBatchNorm<Scalar>::forward_alone(int group) {
    const Group& alone = groups_[static_cast<std::size_t>(group)];
    const ForwardSlice<Scalar>& slice = forward_slices_[static_cast<std::size_t>(alone.hosted.begin)];
    double* const moments = alone.moments->leaf(0);
    const Index tile = channels_in_cache(channels_, slice.shape, sizeof(Scalar));
    for (Index begin = 0; begin < channels_; begin += tile) {
        const ChannelRange range{begin, std::min(begin + tile, channels_)};
        batch_moments(slice.x, channels_, slice.shape, range, moments);
        save_moments(group, moments, range);
        compute_normalization(*forward_moments_, group, range);
        normalize(slice.x, slice.z, channels_, slice.shape, range, normalization(), options_.activation);
    }
    if (options_.running_update == RunningUpdate::deferred)
        std::copy_n(moments, moments_size(channels_),
                    replica_moments_.data() + alone.hosted.begin * moments_size(channels_));
}

template <class Scalar>
void SyncBatchNorm<Scalar>::backward_alone(int group) {
    const Group& alone = groups_[static_cast<std::size_t>(group)];
    const BackwardSlice<Scalar>& slice = backward_slices_[static_cast<std::size_t>(alone.hosted.begin)];
    double* const sums = alone.sums->leaf(0);
    const Index tile = channels_in_cache(channels_, slice.shape, 2 * sizeof(Scalar));
    for (Index begin = 0; begin < channels_; begin += tile) {
        const ChannelRange range{begin, std::min(begin + tile, channels_)};
        gradient_sums(slice.x, slice.dz, channels_, slice.shape, range, normalization(), options_.activation,
                      sums);
        if (slice.dx == nullptr) continue;
        compute_input_gradient(*backward_moments_, group, sums, range);
        input_gradient(slice.x, slice.dz, slice.dx, channels_, slice.shape, range,
                       input_gradient_coefficients(), options_.activation);
    }
    write_parameter_gradients(slice, *backward_moments_, group, sums);
}

#define LOCKSTEP_INSTANTIATE(Scalar)                                                                     \
    template void SyncBatchNorm<Scalar>::save_moments(int, const double*, ChannelRange);                 \
    template void SyncBatchNorm<Scalar>::freeze_moments(BatchMoments&) const;                            \
    template void SyncBatchNorm<Scalar>::recall_normalization(const BatchMoments&, int, ChannelRange);   \
    template void SyncBatchNorm<Scalar>::compute_shift(const BatchMoments&, int, ChannelRange);          \
    template void SyncBatchNorm<Scalar>::compute_normalization(const BatchMoments&, int, ChannelRange);  \
    template void SyncBatchNorm<Scalar>::write_parameter_gradients(                                      \
        const BackwardSlice<Scalar>&, const BatchMoments&, int, const double*) const;                    \
    template void SyncBatchNorm<Scalar>::compute_input_gradient(const BatchMoments&, int, const double*, \
                                                                ChannelRange);                           \
    template void SyncBatchNorm<Scalar>::forward_alone(int);                                             \
    template void SyncBatchNorm<Scalar>::backward_alone(int)

LOCKSTEP_INSTANTIATE(float);
LOCKSTEP_INSTANTIATE(double);
#undef LOCKSTEP_INSTANTIATE

}  // namespace lockstep
