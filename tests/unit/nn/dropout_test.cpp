#include <lockstep/base/error.hpp>
#include <lockstep/nn/dropout.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace lockstep {
namespace {

/// What dropout makes of ones, for a global batch that is cut into the given slices.
std::vector<double> dropped(double probability, int number, std::uint64_t seed, std::uint64_t step,
                            const std::vector<Index>& slices, Index features = 50) {
    Dropout<double> layer(Shape::dense(features), probability, number);
    Index samples = 0;
    for (const Index slice : slices) samples += slice;
    layer.reserve(static_cast<int>(slices.size()), samples);
    const std::vector<double> x(static_cast<std::size_t>(samples * features), 1.0);
    std::vector<double> z(x.size(), -1.0);
    std::vector<Tensor<const double>> inputs;
    std::vector<Tensor<double>> outputs;
    std::vector<Index> positions;
    Index position = 0;
    for (const Index slice : slices) {
        positions.push_back(position);
        inputs.push_back({x.data() + position * features, Shape::dense(features), slice});
        outputs.push_back({z.data() + position * features, Shape::dense(features), slice});
        position += slice;
    }
    layer.forward({seed, step, positions}, inputs, outputs);
    return z;
}

TEST(Dropout, DoesNotDependOnHowTheBatchIsSplit) {
    const auto whole = dropped(0.4, 0, 1, 5, {12});
    for (const auto& slices : std::vector<std::vector<Index>>{{6, 6}, {1, 0, 4, 7}, {5, 7, 0}})
        EXPECT_EQ(dropped(0.4, 0, 1, 5, slices), whole);
}

TEST(Dropout, DiffersBetweenStepsSeedsAndLayers) {
    const auto one = dropped(0.5, 0, 1, 5, {12});
    EXPECT_EQ(dropped(0.5, 0, 1, 5, {12}), one);
    EXPECT_NE(dropped(0.5, 1, 1, 5, {12}), one);
    EXPECT_NE(dropped(0.5, 0, 2, 5, {12}), one);
    EXPECT_NE(dropped(0.5, 0, 1, 6, {12}), one);
    EXPECT_NE(dropped(0.5, 1, 1, 5, {12}), dropped(0.5, 0, 2, 5, {12})) << "seed and layer must not mix";
}

TEST(Dropout, KeepsTheExpectation) {
    for (const double probability : {0.1, 0.5, 0.9}) {
        const auto z = dropped(probability, 0, 1, 0, {400}, 500);  // 200,000 values
        double sum = 0;
        for (const double value : z) {
            EXPECT_TRUE(value == 0 || std::abs(value - 1 / (1 - probability)) < 1e-12) << value;
            sum += value;
        }
        // Six standard deviations of the mean.
        const double allowed = 6 * std::sqrt(probability / (1 - probability) / static_cast<double>(z.size()));
        EXPECT_NEAR(sum / static_cast<double>(z.size()), 1, allowed);
    }
}

TEST(Dropout, OfProbabilityZeroKeepsEverything) {
    for (const double value : dropped(0, 0, 1, 0, {3})) EXPECT_EQ(value, 1);
}

TEST(Dropout, IsTheIdentityInEvaluation) {
    const Dropout<float> layer(Shape::dense(5), 0.5, 0);
    const std::vector<float> x = {1, 2, 3, 4, 5, -1, -2, -3, -4, -5};
    std::vector<float> z(10);
    layer.infer({x.data(), Shape::dense(5), 2}, {z.data(), Shape::dense(5), 2});
    EXPECT_EQ(z, x);
}

TEST(Dropout, RefusesAProbabilityOutsideTheUnitInterval) {
    for (const double probability : {-0.1, 1.0, 2.0, std::numeric_limits<double>::quiet_NaN()})
        EXPECT_THROW(Dropout<float>(Shape::dense(1), probability, 0), UsageError);
}

}  // namespace
}  // namespace lockstep
