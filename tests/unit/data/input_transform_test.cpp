#include <lockstep/data/input_transform.hpp>

#include <lockstep/base/error.hpp>
#include <lockstep/base/random.hpp>
#include <lockstep/data/digits.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace lockstep {
namespace {

/// 40 random colour images of 5 × 4: the channels have different ranges, and the last is constant.
Dataset colours() {
    Dataset data;
    data.name = "colours";
    data.shape = {5, 4, 3};
    data.classes = 2;
    RandomStream random(1, RandomPurpose::test, 0);
    for (int i = 0; i < 40 * 20; ++i) {
        data.pixels.push_back(static_cast<std::uint8_t>(random.below(256)));
        data.pixels.push_back(static_cast<std::uint8_t>(200 + random.below(3)));
        data.pixels.push_back(9);
    }
    data.labels.assign(40, 1);
    return data;
}

template <class Scalar>
std::vector<Scalar> transform_all(const InputTransform& transform, const Dataset& data) {
    std::vector<Scalar> values(data.pixels.size());
    for (Index i = 0; i < data.size(); ++i)
        transform.apply(data.sample(i), values.data() + i * data.shape.size());
    return values;
}

template <class Scalar>
class InputTransformOf : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(InputTransformOf, Scalars);

TYPED_TEST(InputTransformOf, RawIsTheBytes) {
    const Dataset data = colours();
    const auto values = transform_all<TypeParam>(InputTransform(InputKind::raw, data), data);
    for (std::size_t i = 0; i < values.size(); ++i) ASSERT_EQ(values[i], data.pixels[i]);
}

TYPED_TEST(InputTransformOf, UnitIsExactlyTheByteOver255) {
    const Dataset data = colours();
    const auto values = transform_all<TypeParam>(InputTransform(InputKind::unit, data), data);
    for (std::size_t i = 0; i < values.size(); ++i)
        ASSERT_EQ(values[i], static_cast<TypeParam>(data.pixels[i]) / static_cast<TypeParam>(255));
}

TYPED_TEST(InputTransformOf, StandardizedHasMeanZeroAndVarianceOnePerChannel) {
    const Dataset data = colours();
    const auto values = transform_all<TypeParam>(InputTransform(InputKind::standardized, data), data);
    const double tolerance = std::is_same_v<TypeParam, float> ? 1e-5 : 1e-12;
    for (std::size_t channel = 0; channel < 2; ++channel) {
        double sum = 0, squares = 0;
        for (std::size_t i = channel; i < values.size(); i += 3)
            sum += values[i], squares += double(values[i]) * values[i];
        const double count = static_cast<double>(values.size() / 3);
        EXPECT_NEAR(sum / count, 0, tolerance);
        EXPECT_NEAR(squares / count, 1, tolerance);
    }
}

TYPED_TEST(InputTransformOf, StandardizedConstantChannelIsZero) {
    const Dataset data = colours();
    const auto values = transform_all<TypeParam>(InputTransform(InputKind::standardized, data), data);
    for (std::size_t i = 2; i < values.size(); i += 3) ASSERT_EQ(values[i], 0);
}

TEST(InputTransform, DoesNotDependOnTheOrderOfTheSamples) {
    const Dataset data = make_digits(1, 0, 500);
    Dataset reversed = data;
    for (Index i = 0; i < data.size(); ++i)
        std::copy_n(data.sample(data.size() - 1 - i), data.shape.size(),
                    reversed.pixels.data() + i * data.shape.size());
    const InputTransform one(InputKind::standardized, data), other(InputKind::standardized, reversed);
    EXPECT_EQ(one.offset(0), other.offset(0));
    EXPECT_EQ(one.divisor(0), other.divisor(0));
}

TEST(InputTransform, NeedsATrainingSet) {
    Dataset empty = colours();
    empty.pixels.clear();
    empty.labels.clear();
    EXPECT_THROW(InputTransform(InputKind::unit, empty), UsageError);
}

TEST(InputKind, IsReadAsItIsWritten) {
    for (const InputKind kind : {InputKind::raw, InputKind::unit, InputKind::standardized})
        EXPECT_EQ(parse_input_kind(to_string(kind)), kind);
    EXPECT_EQ(to_string(InputKind::standardized), "standardized");
    for (const char* text : {"", "Raw", "unit ", "normalized"})
        EXPECT_THROW(parse_input_kind(text), UsageError);
}

TEST(InputTransform, ItsNumbersGiveTheSameTransformWithoutTheData) {
    const Dataset data = colours();
    for (const InputKind kind : {InputKind::raw, InputKind::unit, InputKind::standardized}) {
        const InputTransform original(kind, data);
        std::vector<double> offsets, divisors;
        for (Index channel = 0; channel < data.shape.channels; ++channel) {
            offsets.push_back(original.offset(channel));
            divisors.push_back(original.divisor(channel));
        }
        const InputTransform again(kind, data.shape, offsets, divisors);
        EXPECT_EQ(again, original);
        EXPECT_EQ(transform_all<float>(again, data), transform_all<float>(original, data));
        offsets[1] += 1;
        if (kind == InputKind::standardized) {
            EXPECT_NE(InputTransform(kind, data.shape, offsets, divisors), original);
        } else {
            EXPECT_THROW(InputTransform(kind, data.shape, offsets, divisors), UsageError);
        }
    }
}

TEST(InputTransform, NumbersThatMakeNoSenseAreAnError) {
    const Shape shape{2, 2, 1};
    const auto standardized = InputKind::standardized;
    const double nan = std::nan("");
    EXPECT_NO_THROW(InputTransform(standardized, shape, {-3}, {0.5}));
    EXPECT_THROW(InputTransform(standardized, shape, {nan}, {1}), UsageError);
    EXPECT_THROW(InputTransform(standardized, shape, {0}, {nan}), UsageError);
    EXPECT_THROW(InputTransform(standardized, shape, {0}, {HUGE_VAL}), UsageError);
    EXPECT_THROW(InputTransform(standardized, shape, {0}, {0}), UsageError);
    EXPECT_THROW(InputTransform(standardized, shape, {0}, {-1}), UsageError);
    EXPECT_THROW(InputTransform(standardized, shape, {0, 0}, {1}), UsageError);
    EXPECT_THROW(InputTransform(standardized, shape, {0}, {}), UsageError);
    EXPECT_THROW(InputTransform(standardized, Shape{0, 2, 1}, {0}, {1}), UsageError);
    EXPECT_THROW(InputTransform(InputKind::unit, shape, {0}, {128}), UsageError);
}

}  // namespace
}  // namespace lockstep
