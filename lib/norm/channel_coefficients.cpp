#include "channel_coefficients.hpp"

#include <algorithm>

// Pointers are taken out of their objects before each loop: read in it they might be what it writes, for all that a
// compiler knows, and there would be no vectors.
namespace lockstep {

template <class Scalar>
ChannelCoefficients<Scalar>::ChannelCoefficients(Index channels) : channels_(channels) {
    for (auto* coefficients :
         {&shift_, &scale_, &offset_, &gradient_scale_, &input_scale_, &gradient_offset_})
        coefficients->resize(static_cast<std::size_t>(channels));
}

template <class Scalar>
void ChannelCoefficients<Scalar>::set_shift(const GroupStatistics& statistics, ChannelRange range) {
    const double* const mean = statistics.mean;
    Scalar* const shift = shift_.data();
    for (Index c = range.begin; c < range.end; ++c) shift[c] = static_cast<Scalar>(mean[c]);
}

template <class Scalar>
void ChannelCoefficients<Scalar>::normalize(const GroupStatistics& statistics, const Scalar* gamma,
                                            const Scalar* beta, ChannelRange range) {
    set_shift(statistics, range);
    const double* const mean = statistics.mean;
    const double* const inverse_deviation = statistics.inverse_deviation;
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
void ChannelCoefficients<Scalar>::recall(const GroupStatistics& statistics, const Scalar* gamma,
                                         const Scalar* beta, Activation activation, ChannelRange range) {
    if (activation == Activation::none)
        set_shift(statistics, range);
    else
        normalize(statistics, gamma, beta, range);
}

template <class Scalar>
void ChannelCoefficients<Scalar>::input_gradient(const GroupStatistics& statistics, const Scalar* gamma,
                                                 const double* sums, ChannelRange range) {
    const double* const mean = statistics.mean;
    const double* const inverse_deviation = statistics.inverse_deviation;
    const Scalar* const shift = shift_.data();
    Scalar* const gradient_scales = gradient_scale_.data();
    Scalar* const input_scales = input_scale_.data();
    Scalar* const offsets = gradient_offset_.data();
    if (sums == nullptr) {
        for (Index c = range.begin; c < range.end; ++c) {
            gradient_scales[c] = static_cast<Scalar>(static_cast<double>(gamma[c]) * inverse_deviation[c]);
            input_scales[c] = offsets[c] = Scalar(0);
        }
        return;
    }
    const double share = 1 / std::max(1.0, statistics.count);
    const double* const products = sums + channels_;
    for (Index c = range.begin; c < range.end; ++c) {
        const double residue = mean[c] - static_cast<double>(shift[c]);
        const double gamma_gradient = (products[c] - residue * sums[c]) * inverse_deviation[c];
        const double gradient_scale = static_cast<double>(gamma[c]) * inverse_deviation[c];
        const double input_scale = -gradient_scale * inverse_deviation[c] * gamma_gradient * share;
        gradient_scales[c] = static_cast<Scalar>(gradient_scale);
        input_scales[c] = static_cast<Scalar>(input_scale);
        offsets[c] = static_cast<Scalar>(-gradient_scale * sums[c] * share - input_scale * residue);
    }
}

template <class Scalar>
void ChannelCoefficients<Scalar>::parameter_gradients(const GroupStatistics& statistics, const double* sums,
                                                      Scalar* gamma_gradient, Scalar* beta_gradient) const {
    const double* const mean = statistics.mean;
    const double* const inverse_deviation = statistics.inverse_deviation;
    const double* const products = sums + channels_;
    const Scalar* const shift = shift_.data();
    for (Index c = 0; c < channels_; ++c) {
        const double residue = mean[c] - static_cast<double>(shift[c]);
        gamma_gradient[c] = static_cast<Scalar>((products[c] - residue * sums[c]) * inverse_deviation[c]);
        beta_gradient[c] = static_cast<Scalar>(sums[c]);
    }
}

template class ChannelCoefficients<float>;
template class ChannelCoefficients<double>;

}  // namespace lockstep
