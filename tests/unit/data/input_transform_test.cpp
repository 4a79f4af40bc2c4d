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

}  // namespace
}  // namespace lockstep
