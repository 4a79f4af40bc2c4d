// Kernels with an activation: the bits of the kernels without it and the activation as a pass of its own.
#include <lockstep/norm/kernels.hpp>

#include "support/batch_norm_reference.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace lockstep {
namespace {

using testing::normal_values;

template <class Scalar>
void expect_equal_to_separate_passes(Index channels, const BatchShape& shape) {
    SCOPED_TRACE(std::to_string(channels) + " channels, batch " + std::to_string(shape.batch) + ", spatial " +
                 std::to_string(shape.spatial));
    const auto size = static_cast<std::size_t>(channels);
    const auto values = size * static_cast<std::size_t>(shape.values());
    const auto x = normal_values<Scalar>(values, 0.5, 2.0, 1),
               dz = normal_values<Scalar>(values, 0.1, 1.0, 2);
    const auto shift = normal_values<Scalar>(size, 0.5, 0.1, 3),
               scale = normal_values<Scalar>(size, 1, 0.5, 4),
               offset = normal_values<Scalar>(size, 0, 0.5, 5), other = normal_values<Scalar>(size, 0, 1, 6);
    const NormalizeCoefficients<Scalar> forward{shift.data(), scale.data(), offset.data()};
    const InputGradientCoefficients<Scalar> backward{forward, other.data(), scale.data(), offset.data()};

    std::vector<Scalar> z(values), rectified(values), masked = dz, dx(values), expected_dx(values);
    normalize(x.data(), z.data(), channels, shape, forward);
    std::size_t negative = 0;
    for (std::size_t i = 0; i < values; ++i)
        if (!(z[i] > 0)) {
            z[i] = masked[i] = 0;
            ++negative;
        }
    EXPECT_TRUE(values < 100 || (negative > values / 10 && negative < values)) << "nothing is tested";

    normalize(x.data(), rectified.data(), channels, shape, forward, Activation::relu);
    EXPECT_EQ(rectified, z);
    std::vector<double> sums(2 * size), expected_sums(2 * size);
    gradient_sums(x.data(), dz.data(), channels, shape, forward, Activation::relu, sums.data());
    gradient_sums(x.data(), masked.data(), channels, shape, forward, Activation::none, expected_sums.data());
    EXPECT_EQ(sums, expected_sums);
    input_gradient(x.data(), dz.data(), dx.data(), channels, shape, backward, Activation::relu);
    input_gradient(x.data(), masked.data(), expected_dx.data(), channels, shape, backward);
    EXPECT_EQ(dx, expected_dx);
}

TEST(Activation, ReluInAKernelEqualsReluAsAPassOfItsOwn) {
    for (const ChannelOrder order : {ChannelOrder::last, ChannelOrder::first})
        for (const Index channels : {1, 3, 17, 64, 300, 2050})
            for (const Index batch : {1, 7, 33})
                for (const Index spatial : {1, 19}) {
                    expect_equal_to_separate_passes<float>(channels, {batch, spatial, order});
                    expect_equal_to_separate_passes<double>(channels, {batch, spatial, order});
                }
    for (const ChannelOrder order : {ChannelOrder::last, ChannelOrder::first})
        expect_equal_to_separate_passes<float>(17, {150, 900, order});  // streamed
}

TEST(Activation, ReluLetsNotANumberShow) {
    const float x[] = {1, std::numeric_limits<float>::quiet_NaN(), -1}, one = 1, zero = 0;
    float z[3];
    normalize(x, z, 1, {3}, {&zero, &one, &zero}, Activation::relu);
    EXPECT_EQ(z[0], 1);
    EXPECT_TRUE(std::isnan(z[1]));
    EXPECT_EQ(z[2], 0);
}

}  // namespace
}  // namespace lockstep
