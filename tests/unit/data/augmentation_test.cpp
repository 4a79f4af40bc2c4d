#include <lockstep/data/augmentation.hpp>

#include <lockstep/base/error.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace lockstep {
namespace {

using Values = std::vector<float>;

constexpr Shape shape{6, 5, 3};

/// An image whose values are all different, and none of them zero.
Values image() {
    Values values(static_cast<std::size_t>(shape.size()));
    std::iota(values.begin(), values.end(), 1.0f);
    return values;
}

Values augmented(const Augmentation& augmentation, Index index, const Values& in) {
    Values out(in.size(), 99);
    augmentation.apply(index, shape, in.data(), out.data());
    return out;
}

/// The reference: out(row, column) = in(row + down, column' + right) or zero, column' counted from the right
/// if mirrored.
Values moved(const Values& in, Index down, Index right, bool mirrored) {
    Values out;
    for (Index row = 0; row < shape.height; ++row) {
        for (Index column = 0; column < shape.width; ++column) {
            const Index y = row + down, x = (mirrored ? shape.width - 1 - column : column) + right;
            const bool inside = y >= 0 && y < shape.height && x >= 0 && x < shape.width;
            for (Index channel = 0; channel < shape.channels; ++channel)
                out.push_back(
                    inside ? in[static_cast<std::size_t>((y * shape.width + x) * shape.channels + channel)]
                           : 0);
        }
    }
    return out;
}

TEST(Augmentation, WithNothingEnabledIsTheIdentity) {
    EXPECT_FALSE(AugmentationOptions{}.enabled());
    const Augmentation augmentation({}, 1);
    for (Index index = 0; index < 50; ++index) EXPECT_EQ(augmented(augmentation, index, image()), image());
}

TEST(Augmentation, IsAFunctionOfSeedEpochAndIndex) {
    const AugmentationOptions options{.crop_padding = 2, .horizontal_flip = true};
    EXPECT_TRUE(options.enabled());
    const auto run = [&](std::uint64_t seed, Index epoch) {
        Augmentation augmentation(options, seed);
        augmentation.start_epoch(5);
        augmentation.start_epoch(epoch);
        std::vector<Values> images(60);
        for (Index index = 59; index >= 0; --index)  // in another order than they are compared in
            images[static_cast<std::size_t>(index)] = augmented(augmentation, index, image());
        return images;
    };
    EXPECT_EQ(run(1, 2), run(1, 2));
    EXPECT_NE(run(1, 2), run(1, 3));
    EXPECT_NE(run(1, 2), run(2, 2));
    Augmentation augmentation(options, 1);
    augmentation.start_epoch(2);
    EXPECT_EQ(augmented(augmentation, 33, image()), run(1, 2)[33]);
}

TEST(Augmentation, FlipMirrorsAboutHalfAndTwiceIsTheIdentity) {
    const Augmentation augmentation({.horizontal_flip = true}, 1);
    int mirrored = 0;
    for (Index index = 0; index < 400; ++index) {
        const Values once = augmented(augmentation, index, image());
        if (once != image()) {
            ASSERT_EQ(once, moved(image(), 0, 0, true));
            ++mirrored;
        }
        ASSERT_EQ(augmented(augmentation, index, once), image());
    }
    EXPECT_NEAR(mirrored, 200, 50);  // 5 deviations
}

TEST(Augmentation, CropTakesEveryOffsetAndPadsWithZeros) {
    constexpr Index padding = 2;
    std::vector<Values> crops;
    for (Index down = -padding; down <= padding; ++down)
        for (Index right = -padding; right <= padding; ++right)
            crops.push_back(moved(image(), down, right, false));
    std::vector<int> seen(crops.size(), 0);
    const Augmentation augmentation({.crop_padding = padding}, 1);
    for (Index index = 0; index < 1000; ++index) {
        const auto found = std::find(crops.begin(), crops.end(), augmented(augmentation, index, image()));
        ASSERT_NE(found, crops.end()) << "not one of the 25 crops";
        ++seen[static_cast<std::size_t>(found - crops.begin())];
    }
    for (const int times : seen) EXPECT_GT(times, 10);  // 40 on average
    EXPECT_EQ(crops[12], image());                      // the offset of zero, in the middle, is the identity
}

TEST(Augmentation, PaddingMayExceedTheImage) {
    const Augmentation augmentation({.crop_padding = 50, .horizontal_flip = true}, 1);
    int empty = 0;
    for (Index index = 0; index < 200; ++index)
        empty += augmented(augmentation, index, image()) == Values(image().size(), 0);
    EXPECT_GT(empty, 100);
}

TEST(Augmentation, RejectsNonsense) {
    EXPECT_THROW(Augmentation({.crop_padding = -1}, 1), UsageError);
    EXPECT_THROW(Augmentation({.crop_padding = 1025}, 1), UsageError);
}

}  // namespace
}  // namespace lockstep
