// Moments merge exactly: parts of any size, empty ones too, give the moments of the whole.
#include <lockstep/norm/kernels.hpp>
#include <lockstep/norm/moments.hpp>

#include "support/batch_norm_reference.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace lockstep {
namespace {

using testing::normal_values;
using testing::Wide;

std::vector<double> moments_of(const double* begin, std::size_t count) {
    std::vector<double> moments(3, 0.0);
    batch_moments(begin, 1, {.batch = static_cast<Index>(count)}, moments.data());
    return moments;
}

void expect_moments_of(const std::vector<double>& values, const std::vector<double>& moments) {
    Wide mean = 0, m2 = 0;
    for (const double value : values) mean += value;
    mean /= static_cast<Wide>(values.size());
    for (const double value : values) m2 += (value - mean) * (value - mean);
    EXPECT_EQ(moments[0], static_cast<double>(values.size()));
    EXPECT_NEAR(moments[1], static_cast<double>(mean), 1e-14 * std::abs(static_cast<double>(mean)));
    EXPECT_NEAR(moments[2], static_cast<double>(m2), 1e-9 * static_cast<double>(m2));
}

TEST(MergeMoments, PartsOfAnySizeGiveTheMomentsOfTheWhole) {
    for (const double mean : {0.0, -3.0, 1e4, 1e6}) {
        const auto values = normal_values<double>(127, mean, 1.0, 11);
        std::vector<double> merged(3, 0.0);
        std::size_t begin = 0;
        for (const std::size_t part : {2, 2, 4, 8, 16, 32, 63}) {
            merge_moments(merged.data(), moments_of(values.data() + begin, part).data(), 1);
            begin += part;
        }
        expect_moments_of(values, merged);
    }
}

TEST(MergeMoments, EmptyPartsChangeNothing) {
    const auto values = normal_values<double>(5, 2.0, 1.0, 3);
    const auto whole = moments_of(values.data(), values.size());
    const auto empty = moments_of(values.data(), 0);
    EXPECT_EQ(empty, (std::vector<double>{0, 0, 0}));

    auto left = whole;
    merge_moments(left.data(), empty.data(), 1);
    EXPECT_EQ(left, whole);
    left = empty;
    merge_moments(left.data(), whole.data(), 1);
    EXPECT_EQ(left, whole);
    left = empty;
    merge_moments(left.data(), empty.data(), 1);
    EXPECT_EQ(left, empty);
}

TEST(MergeMoments, ConstantPartsHaveTheVarianceBetweenThem) {
    // Two samples of 3 and six of 7: mean 6, M2 = 2·9 + 6·1.
    std::vector<double> left{2, 3, 0};
    const std::vector<double> right{6, 7, 0};
    merge_moments(left.data(), right.data(), 1);
    EXPECT_EQ(left, (std::vector<double>{8, 6, 24}));
}

TEST(BatchMoments, WhatIsNotANumberIsNotHidden) {
    std::vector<double> values{1, std::numeric_limits<double>::quiet_NaN(), 3};
    const auto moments = moments_of(values.data(), values.size());
    EXPECT_TRUE(std::isnan(moments[1]));
    EXPECT_TRUE(std::isnan(moments[2])) << "a variance of 0 would hide it from the running averages";
}

}  // namespace
}  // namespace lockstep
