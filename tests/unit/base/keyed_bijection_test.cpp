#include <lockstep/base/error.hpp>
#include <lockstep/base/keyed_bijection.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

namespace lockstep {
namespace {

KeyedBijection order_of(std::uint64_t size, std::uint64_t key = 0) {
    return {size, RandomStream(1, RandomPurpose::test, key)};
}

TEST(KeyedBijection, VisitsEachElementOnce) {
    for (std::uint64_t size = 1; size <= 700; ++size) {
        const KeyedBijection order = order_of(size);
        std::vector<bool> seen(size);
        for (std::uint64_t at = 0; at < size; ++at) {
            const std::uint64_t element = order(at);
            ASSERT_LT(element, size);
            ASSERT_FALSE(seen[element]) << "size " << size << ", position " << at;
            seen[element] = true;
            ASSERT_EQ(order.inverse(element), at);
        }
    }
}

TEST(KeyedBijection, IsUndoneAtAnySize) {
    RandomStream random(2, RandomPurpose::test, 0);
    for (const std::uint64_t size :
         {std::uint64_t{10'000'019}, std::uint64_t{1} << 32, (std::uint64_t{1} << 34) - 1,
          std::uint64_t{1} << 34, (std::uint64_t{1} << 34) + 1, (std::uint64_t{1} << 62) - 1,
          std::uint64_t{1} << 62}) {
        const KeyedBijection order = order_of(size);
        for (int i = 0; i < 20'000; ++i) {
            const std::uint64_t at = i == 0 ? size - 1 : random.below(size);
            const std::uint64_t element = order(at);
            ASSERT_LT(element, size);
            ASSERT_EQ(order.inverse(element), at) << size;
        }
    }
}

/// How far counts lie from equal ones, in deviations of what chance gives: Σ (n − e)²/e has mean k − 1.
double excess(const std::map<std::vector<std::uint64_t>, int>& counts, std::size_t cells, int draws) {
    const double expected = static_cast<double>(draws) / static_cast<double>(cells);
    double sum = expected * static_cast<double>(cells - counts.size());  // those never seen
    for (const auto& [what, count] : counts) sum += (count - expected) * (count - expected) / expected;
    const auto freedom = static_cast<double>(cells - 1);
    return (sum - freedom) / std::sqrt(2 * freedom);
}

TEST(KeyedBijection, KeysGiveAllOrdersAlike) {
    const std::size_t factorials[] = {1, 1, 2, 6, 24, 120, 720};
    for (std::uint64_t size = 2; size <= 6; ++size) {
        std::map<std::vector<std::uint64_t>, int> counts;
        constexpr int draws = 40'000;
        for (int key = 0; key < draws; ++key) {
            const KeyedBijection order = order_of(size, static_cast<std::uint64_t>(key));
            std::vector<std::uint64_t> elements;
            for (std::uint64_t at = 0; at < size; ++at) elements.push_back(order(at));
            ++counts[elements];
        }
        EXPECT_LT(excess(counts, factorials[size], draws), 5) << size;
    }
}

TEST(KeyedBijection, NeighboursGoAnywhere) {
    constexpr std::uint64_t size = 40;
    constexpr int draws = 60'000;
    for (const std::uint64_t at : {std::uint64_t{0}, size / 2, size - 2}) {
        std::map<std::vector<std::uint64_t>, int> counts;
        for (int key = 0; key < draws; ++key) {
            const KeyedBijection order = order_of(size, static_cast<std::uint64_t>(key));
            ++counts[{order(at), order(at + 1)}];
        }
        EXPECT_LT(excess(counts, size * (size - 1), draws), 5) << at;
    }
}

TEST(KeyedBijection, RefusesSizesThatItDoesNotHave) {
    EXPECT_THROW(order_of(0), UsageError);
    EXPECT_THROW(order_of((std::uint64_t{1} << 62) + 1), UsageError);
}

}  // namespace
}  // namespace lockstep
