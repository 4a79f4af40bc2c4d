#include <lockstep/base/hash.hpp>
#include <lockstep/data/digits.hpp>

#include <lockstep/base/error.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

namespace lockstep {
namespace {

using Image = std::array<std::uint8_t, digit_side * digit_side>;

Image render(std::uint64_t seed, std::uint64_t index) {
    Image image;
    image.fill(123);  // what was there must not show
    std::uint8_t label = 0;
    render_digit(seed, index, image.data(), label);
    return image;
}

TEST(Digits, AreAFunctionOfSeedAndIndex) {
    const Images whole = make_digits(5, 0, 50);
    const Images later = make_digits(5, 30, 20);
    for (Index i = 0; i < 20; ++i) {
        EXPECT_TRUE(std::equal(later.sample(i), later.sample(i) + later.shape.size(), whole.sample(30 + i)));
        EXPECT_EQ(later.labels[static_cast<std::size_t>(i)], whole.labels[static_cast<std::size_t>(30 + i)]);
    }
    EXPECT_EQ(render(5, 41), render(5, 41));
}

// Accuracies reported for one version mean something to the next only if the images never change.
TEST(Digits, KeepTheirPixelsBetweenVersionsAndMachines) {
    const Images digits = make_digits(default_digits_seed, 0, default_digits_train + default_digits_test);
    Hash64 hash;
    hash.add(std::as_bytes(std::span(digits.pixels)));
    hash.add(std::as_bytes(std::span(digits.labels)));
    EXPECT_EQ(hash.value(), 0xc98164627e628d0fULL);
}

TEST(Digits, DifferBetweenSeedsAndIndices) {
    std::set<Image> images;
    for (std::uint64_t seed = 0; seed < 5; ++seed)
        for (std::uint64_t index = 0; index < 100; ++index) images.insert(render(seed, index));
    EXPECT_EQ(images.size(), 500u);
}

TEST(Digits, HaveAllClassesAboutEquallyOften) {
    const Images digits = make_digits(default_digits_seed, 0, 5000);
    std::array<int, 10> histogram{};
    for (const std::uint8_t label : digits.labels) {
        ASSERT_LT(label, 10);
        ++histogram[label];
    }
    for (const int times : histogram) EXPECT_NEAR(times, 500, 110);  // 5 deviations
}

TEST(Digits, AreInkOnAnEmptyGround) {
    const Images digits = make_digits(default_digits_seed, 0, 1000);
    for (Index i = 0; i < digits.size(); ++i) {
        const std::uint8_t* image = digits.sample(i);
        const auto dark =
            std::count_if(image, image + digits.shape.size(), [](int value) { return value > 120; });
        EXPECT_GT(dark, 10) << "image " << i << " has hardly any ink";
        EXPECT_LT(dark, 400) << "image " << i << " is drowned in ink";
    }
}

TEST(Digits, LieWithinTheImage) {
    const Images digits = make_digits(default_digits_seed, 0, 1000);
    double border = 0, all = 0;
    for (Index i = 0; i < digits.size(); ++i) {
        const std::uint8_t* image = digits.sample(i);
        for (Index at = 0; at < digits.shape.size(); ++at) {
            const Index row = at / digit_side, column = at % digit_side;
            all += image[at];
            if (std::min({row, column, digit_side - 1 - row, digit_side - 1 - column}) == 0)
                border += image[at];
        }
    }
    EXPECT_LT(border / all, 0.02);
}

/// The share of `test` whose class is that of the nearest of the classes' mean images in `train`.
double nearest_mean_accuracy(const Images& train, const Images& test) {
    const auto size = static_cast<std::size_t>(train.shape.size());
    std::vector<std::vector<double>> means(10, std::vector<double>(size, 0.0));
    std::array<int, 10> counts{};
    for (Index i = 0; i < train.size(); ++i) ++counts[train.labels[static_cast<std::size_t>(i)]];
    for (Index i = 0; i < train.size(); ++i) {
        const std::uint8_t label = train.labels[static_cast<std::size_t>(i)];
        for (std::size_t at = 0; at < size; ++at)
            means[label][at] += train.sample(i)[at] / double(counts[label]);
    }
    int right = 0;
    for (Index i = 0; i < test.size(); ++i) {
        std::array<double, 10> distances{};
        for (std::size_t label = 0; label < 10; ++label)
            for (std::size_t at = 0; at < size; ++at)
                distances[label] +=
                    (test.sample(i)[at] - means[label][at]) * (test.sample(i)[at] - means[label][at]);
        const auto nearest = std::min_element(distances.begin(), distances.end()) - distances.begin();
        right += nearest == test.labels[static_cast<std::size_t>(i)];
    }
    return right / static_cast<double>(test.size());
}

TEST(Digits, CanBeLearntButNotTrivially) {
    const double accuracy = nearest_mean_accuracy(make_digits(1, 0, 3000), make_digits(1, 8000, 1000));
    EXPECT_GT(accuracy, 0.6);
    EXPECT_LT(accuracy, 0.9);
}

TEST(Digits, TakeAnyIndexButNoEmptySet) {
    EXPECT_EQ(render(1, std::numeric_limits<std::uint64_t>::max()),
              render(1, std::numeric_limits<std::uint64_t>::max()));
    EXPECT_THROW(make_digits(1, 0, 0), UsageError);
    EXPECT_THROW(make_digits(1, -1, 5), UsageError);
}

}  // namespace
}  // namespace lockstep
