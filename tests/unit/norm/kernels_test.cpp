// The four kernels against the two-pass reference: float to 1e-5, double to 1e-10, in all layouts and hard
// places.
#include <lockstep/base/aligned_vector.hpp>
#include <lockstep/norm/kernels.hpp>
#include <lockstep/norm/moments.hpp>

#include "support/batch_norm_reference.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <ostream>
#include <span>
#include <string>
#include <vector>

namespace lockstep {
namespace {

using testing::normal_values;
using testing::Reference;
using testing::reference_batch_norm;
using testing::relative_distance;
using testing::Wide;

template <class Scalar>
constexpr double tolerance = sizeof(Scalar) == 4 ? 1e-5 : 1e-10;
// Of the mean, in deviations, and of the variance, relative: for float what the rounding of a single value,
// 6e-8, leaves of two values, and less of more.
template <class Scalar>
constexpr double mean_tolerance = sizeof(Scalar) == 4 ? 1e-7 : 1e-12;
template <class Scalar>
constexpr double variance_tolerance = sizeof(Scalar) == 4 ? 3e-7 : 1e-9;

/// Kernels, strung together for one replica as the layer does.
template <class Scalar>
struct Pass {
    Index channels;
    BatchShape shape;
    double epsilon = 1e-5;
    std::vector<Scalar> x, dz, gamma, beta;

    std::vector<double> moments, sums;
    std::vector<Scalar> shift;

    Pass(Index channel_count, BatchShape extent, double mean, double deviation)
        : channels(channel_count), shape(extent) {
        const auto count = static_cast<std::size_t>(channels * shape.values());
        const auto size = static_cast<std::size_t>(channels);
        x = normal_values<Scalar>(count, mean, deviation, 1);
        dz = normal_values<Scalar>(count, 0.1, 1.0, 2);
        gamma = normal_values<Scalar>(size, 1.0, 0.3, 3);
        beta = normal_values<Scalar>(size, 0.0, 0.5, 4);
        moments.resize(static_cast<std::size_t>(moments_size(channels)));
        sums.resize(2 * size);
        shift.resize(size);
    }

    double mean(std::size_t c) const { return moments[1 + c]; }
    double variance(std::size_t c) const {
        return shape.values() > 0 ? moments[1 + static_cast<std::size_t>(channels) + c] / moments[0] : 0;
    }
    double inverse_deviation(std::size_t c) const { return 1 / std::sqrt(variance(c) + epsilon); }
    double residue(std::size_t c) const { return mean(c) - static_cast<double>(shift[c]); }

    void forward(Scalar* z) {
        batch_moments(x.data(), channels, shape, moments.data());
        std::vector<Scalar> scale(shift.size()), offset(shift.size());
        for (std::size_t c = 0; c < shift.size(); ++c) {
            shift[c] = static_cast<Scalar>(mean(c));
            scale[c] = static_cast<Scalar>(static_cast<double>(gamma[c]) * inverse_deviation(c));
            offset[c] =
                static_cast<Scalar>(static_cast<double>(beta[c]) -
                                    residue(c) * static_cast<double>(gamma[c]) * inverse_deviation(c));
        }
        normalize(x.data(), z, channels, shape, {shift.data(), scale.data(), offset.data()});
    }

    void backward(Scalar* dx) {
        gradient_sums(x.data(), dz.data(), channels, shape, {shift.data(), nullptr, nullptr},
                      Activation::none, sums.data());
        std::vector<Scalar> dz_scale(shift.size()), x_scale(shift.size()), offset(shift.size());
        for (std::size_t c = 0; c < shift.size(); ++c) {
            const double count = moments[0], scale = static_cast<double>(gamma[c]) * inverse_deviation(c);
            const double per_x = -scale * inverse_deviation(c) * sum_dz_xhat(c) / count;
            dz_scale[c] = static_cast<Scalar>(scale);
            x_scale[c] = static_cast<Scalar>(per_x);
            offset[c] = static_cast<Scalar>(-scale * sums[c] / count - per_x * residue(c));
        }
        input_gradient(x.data(), dz.data(), dx, channels, shape,
                       {{shift.data(), nullptr, nullptr}, dz_scale.data(), x_scale.data(), offset.data()});
    }

    double sum_dz_xhat(std::size_t c) const {
        return (sums[shift.size() + c] - residue(c) * sums[c]) * inverse_deviation(c);
    }

    Reference reference() const { return reference_batch_norm(x, dz, channels, shape, gamma, beta, epsilon); }
};

/// How far dx may go: relative to the greatest γ/σ·dz, of which dx is the rest after two subtractions.
template <class Scalar>
double gradient_size(const Pass<Scalar>& pass) {
    double size = 0;
    for (std::size_t c = 0; c < pass.shift.size(); ++c)
        size = std::max(size, std::abs(static_cast<double>(pass.gamma[c])) * pass.inverse_deviation(c));
    return size;
}

template <class Scalar>
void expect_reference(Pass<Scalar>& pass) {
    std::vector<Scalar> z(pass.x.size()), dx(pass.x.size());
    pass.forward(z.data());
    pass.backward(dx.data());
    const Reference expected = pass.reference();

    std::vector<double> mean, variance, sum_dz, sum_dz_xhat;
    double deviation = 0;
    for (std::size_t c = 0; c < pass.shift.size(); ++c) {
        mean.push_back(pass.mean(c));
        variance.push_back(pass.variance(c));
        deviation = std::max(deviation, std::sqrt(pass.variance(c)));
        sum_dz.push_back(pass.sums[c]);
        sum_dz_xhat.push_back(pass.sum_dz_xhat(c));
        // Each channel against itself: no wide channel may hide a narrow one.
        const double exact = static_cast<double>(expected.variance[c]);
        EXPECT_NEAR(pass.variance(c), exact, 1e-6 * exact + 1e-300) << "channel " << c;
    }
    EXPECT_EQ(pass.moments[0], static_cast<double>(pass.shape.values()));
    EXPECT_LE(relative_distance(mean, expected.mean, deviation), mean_tolerance<Scalar>);
    EXPECT_LE(relative_distance(variance, expected.variance), variance_tolerance<Scalar>);
    EXPECT_LE(relative_distance(z, expected.z, 1.0), tolerance<Scalar>);
    // Sums of m terms of size 1, which enter dx divided by m.
    EXPECT_LE(relative_distance(sum_dz, expected.sum_dz, pass.moments[0]), tolerance<Scalar>);
    EXPECT_LE(relative_distance(sum_dz_xhat, expected.sum_dz_xhat, pass.moments[0]), tolerance<Scalar>);
    EXPECT_LE(relative_distance(dx, expected.dx, gradient_size(pass)), tolerance<Scalar>);

    // In place: the same bits.
    auto in_place = pass.x;
    normalize(in_place.data(), in_place.data(), pass.channels, {0}, {nullptr, nullptr, nullptr});
    EXPECT_EQ(in_place, pass.x) << "an empty batch writes nothing";
    Pass<Scalar> own = pass;
    own.forward(own.x.data());
    EXPECT_EQ(own.x, z);
    own = pass;
    own.backward(own.dz.data());
    EXPECT_EQ(own.dz, dx);
    own = pass;
    own.backward(own.x.data());
    EXPECT_EQ(own.x, dx);
}

struct Layout {
    Index channels, batch, spatial;
    ChannelOrder order;

    friend void PrintTo(const Layout& layout, std::ostream* out) {
        *out << layout.channels << "x" << layout.batch << "x" << layout.spatial
             << (layout.order == ChannelOrder::last ? "_last" : "_first");
    }
};

std::vector<Layout> every_layout() {
    std::vector<Layout> layouts;
    for (const Index channels : {1, 3, 17, 300})
        for (const Index batch : {1, 2, 29})
            for (const Index spatial : {1, 5, 49})
                for (const ChannelOrder order : {ChannelOrder::last, ChannelOrder::first})
                    layouts.push_back({channels, batch, spatial, order});
    return layouts;
}

class EveryLayout : public ::testing::TestWithParam<Layout> {};

TEST_P(EveryLayout, FloatIsWithin1em5OfTheReference) {
    const auto [channels, batch, spatial, order] = GetParam();
    Pass<float> pass(channels, {batch, spatial, order}, 0.5, 2.0);
    expect_reference(pass);
}

TEST_P(EveryLayout, DoubleIsWithin1em10OfTheReference) {
    const auto [channels, batch, spatial, order] = GetParam();
    Pass<double> pass(channels, {batch, spatial, order}, 0.5, 2.0);
    expect_reference(pass);
}

INSTANTIATE_TEST_SUITE_P(Layouts, EveryLayout, ::testing::ValuesIn(every_layout()),
                         ::testing::PrintToStringParamName());

struct Place {
    double mean, deviation;

    friend void PrintTo(const Place& place, std::ostream* out) {
        *out << "mean " << place.mean << ", deviation " << place.deviation;
    }
};

/// A test's name may have letters, digits and underscores only.
std::string name_of(const ::testing::TestParamInfo<Place>& place) {
    std::string name = ::testing::PrintToString(place.param);
    std::erase_if(name, [](char c) { return c == ',' || c == '+'; });
    std::ranges::replace(name, '-', 'm');
    std::ranges::replace(name, '.', 'p');
    std::ranges::replace(name, ' ', '_');
    return name;
}

class HardPlace : public ::testing::TestWithParam<Place> {};

TEST_P(HardPlace, MeanFarAboveTheDeviationLosesNothing) {
    const auto [mean, deviation] = GetParam();
    for (const ChannelOrder order : {ChannelOrder::last, ChannelOrder::first}) {
        Pass<float> single(17, {64, 9, order}, mean, deviation);
        expect_reference(single);
        Pass<double> wide(17, {64, 9, order}, mean, deviation);
        expect_reference(wide);
    }
}

INSTANTIATE_TEST_SUITE_P(MeanAndDeviation, HardPlace,
                         ::testing::Values(Place{1e4, 1e-2}, Place{1e6, 1.0}, Place{-1e3, 1e-3},
                                           Place{1e-3, 1e-9}, Place{0.0, 1e-6}, Place{1e5, 0.5},
                                           Place{0.0, 1e6}),
                         name_of);

TEST(Kernels, ConstantChannelGivesBetaAndFiniteGradients) {
    for (const ChannelOrder order : {ChannelOrder::last, ChannelOrder::first}) {
        Pass<float> pass(3, {10, 4, order}, 0.0, 1.0);
        std::fill(pass.x.begin(), pass.x.end(), 12345.678F);
        std::vector<float> z(pass.x.size());
        pass.forward(z.data());
        for (Index c = 0; c < 3; ++c) {
            EXPECT_EQ(pass.variance(static_cast<std::size_t>(c)), 0.0);
            testing::for_channel(pass.shape, 3, c, [&](std::size_t i) {
                EXPECT_EQ(z[i], pass.beta[static_cast<std::size_t>(c)]);
            });
        }
        expect_reference(pass);
    }
}

TEST(Kernels, VarianceFarBelowEpsilonIsNotRounded) {
    // σ² = 1e-12 beside ε = 1e-5: who rebuilds σ² from 1/√(σ² + ε) gets noise here.
    Pass<float> pass(5, {256}, 0.0, 1e-6);
    expect_reference(pass);
    Pass<double> wide(5, {256}, 0.0, 1e-9);
    expect_reference(wide);
}

/// The variance of each channel, to 1e-6.
template <class Scalar>
void expect_variance(Pass<Scalar>& pass) {
    batch_moments(pass.x.data(), pass.channels, pass.shape, pass.moments.data());
    const Reference expected = pass.reference();
    for (std::size_t c = 0; c < pass.shift.size(); ++c) {
        const auto exact = static_cast<double>(expected.variance[c]);
        EXPECT_NEAR(pass.variance(c), exact, 1e-6 * exact) << "channel " << c;
    }
}

TEST(Kernels, OutliersWhereTheMeanIsGuessedDoNotSpoilTheVariance) {
    // Sums are taken relative to a guess of the mean from four values all over the batch: the worst case is
    // when these are far from all others.
    for (const ChannelOrder order : {ChannelOrder::last, ChannelOrder::first}) {
        Pass<double> wide(2, {100, 10, order}, 0.0, 1.0);
        wide.x[0] = 1e6;
        wide.x[order == ChannelOrder::last ? 1 : 10] = -1e8;
        expect_reference(wide);
        Pass<float> single(3, {100, 10, order}, 0.0, 1.0);
        for (const Index value : {0, 250, 500, 750}) {
            const std::size_t at = testing::offset_of(single.shape, 3, value / 10, value % 10, 1);
            single.x[at] = static_cast<float>(value + 1) * 1e3F;
        }
        expect_variance(single);
        single.x[testing::offset_of(single.shape, 3, 0, 0, 2)] = 1e15F;
        expect_variance(single);
    }
}

TEST(Kernels, TwoValuedChannelsKeepTheirVariance) {
    // All roundings alike, and none to average them out.
    for (const float share : {0.001F, 0.1F, 0.5F}) {
        Pass<float> pass(5, {4000}, 0.0, 1.0);
        for (std::size_t i = 0; i < pass.x.size(); ++i)
            pass.x[i] = static_cast<float>(i / 5 % 1000) < share * 1000 ? 1.0F / 3 : 0.7F;
        expect_variance(pass);
    }
}

TEST(Kernels, RangesOfChannelsGiveWhatAllChannelsGive) {
    for (const ChannelOrder order : {ChannelOrder::last, ChannelOrder::first}) {
        const Index channels = order == ChannelOrder::last ? 2080 : 37;
        const BatchShape shape{6, 20, order};
        Pass<float> pass(channels, shape, 0.5, 2.0);
        std::vector<float> z(pass.x.size()), dx(pass.x.size());
        pass.forward(z.data());
        pass.backward(dx.data());
        auto moments = pass.moments, sums = pass.sums;
        std::ranges::fill(moments, -1.0);
        std::ranges::fill(sums, -1.0);
        for (const ChannelRange range :
             {ChannelRange{0, 16}, ChannelRange{16, 17}, ChannelRange{17, channels}}) {
            batch_moments(pass.x.data(), channels, shape, range, moments.data());
            gradient_sums(pass.x.data(), pass.dz.data(), channels, shape, range,
                          {pass.shift.data(), nullptr, nullptr}, Activation::none, sums.data());
        }
        EXPECT_EQ(moments, pass.moments);
        EXPECT_EQ(sums, pass.sums);
        std::vector<float> part(pass.x.size()), all(pass.x.size());
        const std::vector<float> half(pass.shift.size(), 0.5F);
        const float* const k = half.data();
        const NormalizeCoefficients<float> forward{pass.shift.data(), k, k};
        for (const Activation activation : {Activation::none, Activation::relu}) {
            normalize(pass.x.data(), all.data(), channels, shape, forward, activation);
            for (const ChannelRange range : {ChannelRange{0, 5}, ChannelRange{5, channels}})
                normalize(pass.x.data(), part.data(), channels, shape, range, forward, activation);
            EXPECT_EQ(part, all);
            input_gradient(pass.x.data(), pass.dz.data(), all.data(), channels, shape, {forward, k, k, k},
                           activation);
            for (const ChannelRange range : {ChannelRange{0, 5}, ChannelRange{5, channels}})
                input_gradient(pass.x.data(), pass.dz.data(), part.data(), channels, shape, range,
                               {forward, k, k, k}, activation);
            EXPECT_EQ(part, all);
        }
    }
}

TEST(Kernels, StreamedResultsOfAnyAlignmentEqualThoseInPlace) {
    // Large results go past the caches, results in place do not.
    for (const Index channels : {17, 64, 2304})
        for (const std::size_t misaligned : {0, 1, 13}) {
            const Index rows = (Index{9} << 20) / 4 / channels + 3;
            const auto size = static_cast<std::size_t>(channels);
            const auto x = normal_values<float>(static_cast<std::size_t>(rows * channels), 0.0, 1.0, 5);
            const auto shift = normal_values<float>(size, 0.0, 1.0, 6),
                       scale = normal_values<float>(size, 1.0, 1.0, 7),
                       offset = normal_values<float>(size, 0.0, 1.0, 8);
            AlignedVector<float> z(x.size() + misaligned, -1.0F);
            normalize(x.data(), z.data() + misaligned, channels, {rows},
                      {shift.data(), scale.data(), offset.data()});
            auto in_place = x;
            normalize(in_place.data(), in_place.data(), channels, {rows},
                      {shift.data(), scale.data(), offset.data()});
            EXPECT_TRUE(std::ranges::equal(in_place, std::span(z).subspan(misaligned))) << channels;
        }
}

TEST(Kernels, EmptyBatchesGiveZeroMomentsAndZeroSums) {
    for (const BatchShape shape : {BatchShape{0, 7}, BatchShape{7, 0}}) {
        std::vector<double> moments(moments_size(4), 1.0), sums(8, 1.0);
        const std::vector<float> shift(4, 1.0F);
        batch_moments<float>(nullptr, 4, shape, moments.data());
        gradient_sums<float>(nullptr, nullptr, 4, shape, {shift.data(), nullptr, nullptr}, Activation::none,
                             sums.data());
        EXPECT_EQ(moments, std::vector<double>(9, 0.0));
        EXPECT_EQ(sums, std::vector<double>(8, 0.0));
    }
}

}  // namespace
}  // namespace lockstep
