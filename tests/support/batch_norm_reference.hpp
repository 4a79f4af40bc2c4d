/// Batch normalization as the textbook writes it: two passes, long double, one loop per formula. What the
/// fast and the distributed code is tested against.
#pragma once

#include <lockstep/base/random.hpp>
#include <lockstep/norm/kernels.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace lockstep::testing {

using Wide = long double;

/// Where value (sample, position, channel) lies.
inline std::size_t offset_of(const BatchShape& shape, Index channels, Index sample, Index position,
                             Index channel) {
    const Index offset = shape.order == ChannelOrder::last
                             ? (sample * shape.spatial + position) * channels + channel
                             : (sample * channels + channel) * shape.spatial + position;
    return static_cast<std::size_t>(offset);
}

/// Calls body(offset) for all values of one channel.
template <class Body>
void for_channel(const BatchShape& shape, Index channels, Index channel, Body body) {
    for (Index sample = 0; sample < shape.batch; ++sample)
        for (Index position = 0; position < shape.spatial; ++position)
            body(offset_of(shape, channels, sample, position, channel));
}

struct Reference {
    Wide count = 0;
    std::vector<Wide> mean, variance;  ///< by channel; biased
    std::vector<Wide> z, dx;           ///< laid out as x
    std::vector<Wide> sum_dz, sum_dz_xhat;
    std::vector<Wide> gamma_gradient, beta_gradient;

    Wide unbiased_variance(std::size_t channel) const { return variance[channel] * count / (count - 1); }
};

/// Forward, and backward where dz is given.
template <class Scalar>
Reference reference_batch_norm(const std::vector<Scalar>& x, const std::vector<Scalar>& dz, Index channels,
                               const BatchShape& shape, const std::vector<Scalar>& gamma,
                               const std::vector<Scalar>& beta, double epsilon) {
    Reference r;
    const auto size = static_cast<std::size_t>(channels);
    r.count = static_cast<Wide>(shape.values());
    r.mean.assign(size, 0);
    r.variance.assign(size, 0);
    r.sum_dz.assign(size, 0);
    r.sum_dz_xhat.assign(size, 0);
    r.z.assign(x.size(), 0);
    r.dx.assign(x.size(), 0);
    if (shape.values() > 0) {
        for (std::size_t c = 0; c < size; ++c) {
            const auto channel = static_cast<Index>(c);
            for_channel(shape, channels, channel, [&](std::size_t i) { r.mean[c] += x[i]; });
            r.mean[c] /= r.count;
            for_channel(shape, channels, channel,
                        [&](std::size_t i) { r.variance[c] += (x[i] - r.mean[c]) * (x[i] - r.mean[c]); });
            r.variance[c] /= r.count;
            const Wide deviation = std::sqrt(r.variance[c] + static_cast<Wide>(epsilon));
            const auto xhat = [&](std::size_t i) { return (x[i] - r.mean[c]) / deviation; };
            for_channel(shape, channels, channel,
                        [&](std::size_t i) { r.z[i] = gamma[c] * xhat(i) + beta[c]; });
            if (dz.empty()) continue;
            for_channel(shape, channels, channel, [&](std::size_t i) {
                r.sum_dz[c] += dz[i];
                r.sum_dz_xhat[c] += dz[i] * xhat(i);
            });
            for_channel(shape, channels, channel, [&](std::size_t i) {
                r.dx[i] = gamma[c] / deviation *
                          (dz[i] - r.sum_dz[c] / r.count - xhat(i) * r.sum_dz_xhat[c] / r.count);
            });
        }
    }
    r.gamma_gradient = r.sum_dz_xhat;
    r.beta_gradient = r.sum_dz;
    return r;
}

/// `count` normal values around a mean, the same for a given seed.
template <class Scalar>
std::vector<Scalar> normal_values(std::size_t count, double mean, double deviation, std::uint64_t seed) {
    RandomStream stream(seed, RandomPurpose::test, 0);
    std::vector<Scalar> values(count);
    for (Scalar& value : values) value = static_cast<Scalar>(mean + deviation * stream.normal());
    return values;
}

/// The greatest |actual − expected|, divided by the greatest |expected| (at least by `floor`).
template <class Actual, class Expected>
double relative_distance(const Actual& actual, const Expected& expected, double floor = 0) {
    if (actual.size() != expected.size()) return HUGE_VAL;
    double distance = 0, size = floor;
    for (std::size_t i = 0; i < expected.size(); ++i) {
        const auto difference =
            std::abs(static_cast<double>(static_cast<Wide>(actual[i]) - static_cast<Wide>(expected[i])));
        if (!(difference <= HUGE_VAL)) return HUGE_VAL;  // a NaN must not pass for close
        distance = std::max(distance, difference);
        size = std::max(size, std::abs(static_cast<double>(expected[i])));
    }
    return size > 0 ? distance / size : distance;
}

}  // namespace lockstep::testing
