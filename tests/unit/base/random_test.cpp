#include <lockstep/base/random.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <vector>

namespace lockstep {
namespace {

using Words = std::array<std::uint32_t, 4>;

std::vector<std::uint32_t> first_words(RandomStream stream, int count = 64) {
    std::vector<std::uint32_t> words;
    for (int i = 0; i < count; ++i) words.push_back(stream.next_u32());
    return words;
}

// The vectors that the authors of Philox publish with their implementation.
TEST(Philox, MatchesThePublishedKnownAnswers) {
    constexpr std::uint32_t ones = 0xffffffff;
    EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
    EXPECT_EQ(philox4x32({ones, ones, ones, ones}, {ones, ones}),
              (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
    EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
              (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(RandomStream, IsAFunctionOfItsArguments) {
    EXPECT_EQ(first_words({7, RandomPurpose::test, 3, 2}), first_words({7, RandomPurpose::test, 3, 2}));
}

TEST(RandomStream, ChangesWithEveryArgument) {
    const std::uint64_t far = std::uint64_t{1} << 32;  // the upper half of each number counts too
    const std::vector<RandomStream> streams = {
        {7, RandomPurpose::test, 3, 2},       {8, RandomPurpose::test, 3, 2},
        {7 + far, RandomPurpose::test, 3, 2}, {7, RandomPurpose::dropout, 3, 2},
        {7, RandomPurpose::test, 4, 2},       {7, RandomPurpose::test, 3 + far, 2},
        {7, RandomPurpose::test, 3, 3},       {7, RandomPurpose::test, 3, 2 + far},
        {3, RandomPurpose::test, 7, 2},       {7, RandomPurpose::shuffle, 3, 2},
    };
    std::set<std::vector<std::uint32_t>> distinct;
    for (const RandomStream& stream : streams) distinct.insert(first_words(stream));
    EXPECT_EQ(distinct.size(), streams.size());
}

// Runs are reproduced across versions only if the stream itself never changes.
TEST(RandomStream, KeepsItsValuesBetweenVersions) {
    EXPECT_EQ(first_words({1, RandomPurpose::test, 0}, 4),
              (std::vector<std::uint32_t>{0xaf5f0510, 0xdaa55a67, 0xd4cd70be, 0xbc17dbbd}));
}

TEST(RandomStream, UniformHasTheRightRangeMeanAndVariance) {
    RandomStream stream(1, RandomPurpose::test, 1);
    constexpr int count = 200'000;
    double sum = 0, squares = 0;
    for (int i = 0; i < count; ++i) {
        const double value = stream.uniform();
        ASSERT_GE(value, 0.0);
        ASSERT_LT(value, 1.0);
        sum += value;
        squares += (value - 0.5) * (value - 0.5);
    }
    EXPECT_NEAR(sum / count, 0.5, 0.003);  // 4.6 deviations
    EXPECT_NEAR(squares / count, 1.0 / 12, 0.001);
}

TEST(RandomStream, NormalHasTheRightMomentsAndTails) {
    RandomStream stream(1, RandomPurpose::test, 2);
    constexpr int count = 200'000;
    double sum = 0, squares = 0, cubes = 0;
    int beyond_two = 0;
    for (int i = 0; i < count; ++i) {
        const double value = stream.normal();
        ASSERT_TRUE(std::isfinite(value));
        sum += value;
        squares += value * value;
        cubes += value * value * value;
        beyond_two += std::abs(value) > 2;
    }
    EXPECT_NEAR(sum / count, 0.0, 0.01);
    EXPECT_NEAR(squares / count, 1.0, 0.015);
    EXPECT_NEAR(cubes / count, 0.0, 0.04);
    EXPECT_NEAR(beyond_two / double{count}, 0.0455, 0.0022);
}

TEST(RandomStream, BelowIsUniformOverTheWholeRange) {
    RandomStream stream(1, RandomPurpose::test, 3);
    constexpr std::uint64_t bound = 7;
    constexpr int count = 70'000;
    std::array<int, bound> seen{};
    for (int i = 0; i < count; ++i) {
        const std::uint64_t value = stream.below(bound);
        ASSERT_LT(value, bound);
        ++seen[value];
    }
    for (const int times : seen) EXPECT_NEAR(times, count / double{bound}, 450);  // 4.9 deviations
}

// Reducing 64 bits modulo 3·2⁶² would give the lowest third twice as often as either other third.
TEST(RandomStream, BelowHasNoBiasForHugeBounds) {
    RandomStream stream(1, RandomPurpose::test, 4);
    constexpr std::uint64_t third = std::uint64_t{1} << 62;
    constexpr int count = 30'000;
    int lowest = 0;
    for (int i = 0; i < count; ++i) lowest += stream.below(3 * third) < third;
    EXPECT_NEAR(lowest, count / 3, 400);
}

TEST(RandomStream, BelowOneIsZero) {
    RandomStream stream(1, RandomPurpose::test, 5);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(stream.below(1), 0u);
}

}  // namespace
}  // namespace lockstep
