#include <lockstep/data/input_transform.hpp>

#include <lockstep/base/error.hpp>
#include <lockstep/base/random.hpp>
#include <lockstep/data/images.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace lockstep {
namespace {

/// 40 random colour images of 5 × 4: the channels have different ranges, and the last is constant.
Images colours() {
    Images data;
    data.title = "colours";
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

/// Of any kind, with numbers of ours where it is standardized.
InputTransform of_kind(InputKind kind, const Images& data) {
    if (kind != InputKind::standardized) return {kind, data.shape};
    return {kind, data.shape, {120, 201, 9}, {70.5, 0.8, 1}};
}

template <class Scalar>
std::vector<Scalar> transform_all(const InputTransform& transform, const Images& data) {
    std::vector<Scalar> values(data.pixels.begin(), data.pixels.end());
    for (Index i = 0; i < data.size(); ++i) {
        Scalar* const sample = values.data() + i * data.shape.size();
        transform.apply(sample, sample);
    }
    return values;
}

template <class Scalar>
class InputTransformOf : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(InputTransformOf, Scalars);

TYPED_TEST(InputTransformOf, RawIsTheBytes) {
    const Images data = colours();
    const auto values = transform_all<TypeParam>(InputTransform(InputKind::raw, data.shape), data);
    for (std::size_t i = 0; i < values.size(); ++i) ASSERT_EQ(values[i], data.pixels[i]);
}

TYPED_TEST(InputTransformOf, UnitIsExactlyTheByteOver255) {
    const Images data = colours();
    const auto values = transform_all<TypeParam>(InputTransform(InputKind::unit, data.shape), data);
    for (std::size_t i = 0; i < values.size(); ++i)
        ASSERT_EQ(values[i], static_cast<TypeParam>(data.pixels[i]) / static_cast<TypeParam>(255));
}

TYPED_TEST(InputTransformOf, StandardizedShiftsAndDividesEachChannel) {
    const Images data = colours();
    const InputTransform transform = of_kind(InputKind::standardized, data);
    const auto values = transform_all<TypeParam>(transform, data);
    for (std::size_t i = 0; i < values.size(); ++i) {
        const auto channel = static_cast<Index>(i % 3);
        ASSERT_EQ(values[i], (static_cast<TypeParam>(data.pixels[i]) -
                              static_cast<TypeParam>(transform.offset(channel))) /
                                 static_cast<TypeParam>(transform.divisor(channel)));
    }
}

TEST(InputTransform, DoublesAreTransformedAsSuchAndRoundedThen) {
    const InputTransform transform(InputKind::standardized, Shape::dense(2), {1.7e9, 101325}, {3600, 5});
    const double values[] = {1.7e9 + 90, 101326};
    float out[2];
    transform.apply(values, out);
    EXPECT_EQ(out[0], 0.025f);
    EXPECT_EQ(out[1], 0.2f);
}

TEST(InputKind, IsReadAsItIsWritten) {
    for (const InputKind kind : {InputKind::raw, InputKind::unit, InputKind::standardized})
        EXPECT_EQ(parse_input_kind(to_string(kind)), kind);
    EXPECT_EQ(to_string(InputKind::standardized), "standardized");
    for (const char* text : {"", "Raw", "unit ", "normalized"})
        EXPECT_THROW(parse_input_kind(text), UsageError);
}

TEST(InputTransform, ItsNumbersGiveTheSameTransformWithoutTheData) {
    const Images data = colours();
    for (const InputKind kind : {InputKind::raw, InputKind::unit, InputKind::standardized}) {
        const InputTransform original = of_kind(kind, data);
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
