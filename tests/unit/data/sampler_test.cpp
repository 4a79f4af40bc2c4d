#include <lockstep/data/sampler.hpp>

#include <lockstep/base/error.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <vector>

namespace lockstep {
namespace {

/// The samples of an epoch in the order in which replicas and steps meet them.
std::vector<Index> visited(const Sampler& sampler, int replicas) {
    std::vector<Index> samples;
    for (Index step = 0; step < sampler.batches(); ++step) {
        for (int replica = 0; replica < replicas; ++replica) {
            const SampleRange slice = sampler.replica_slice(step, replica);
            for (Index at = slice.begin; at < slice.end; ++at) samples.push_back(sampler.sample(at));
        }
    }
    return samples;
}

struct Case {
    Index samples, global_batch;
    int replicas;
};

void PrintTo(const Case& c, std::ostream* out) {
    *out << "N=" << c.samples << " G=" << c.global_batch << " R=" << c.replicas;
}

std::vector<Case> cases() {
    std::vector<Case> all;
    for (const Index samples : {1, 2, 3, 7, 29, 64, 100, 997})
        for (const Index global_batch : {1, 2, 5, 14, 64, 1000})
            for (const int replicas : {1, 2, 3, 4, 7, 32}) all.push_back({samples, global_batch, replicas});
    return all;
}

class SamplerOf : public testing::TestWithParam<Case> {
  protected:
    Sampler make(bool shuffle) const {
        const Case c = GetParam();
        return Sampler({.samples = c.samples,
                        .global_batch = c.global_batch,
                        .replicas = c.replicas,
                        .shuffle = shuffle});
    }
};
INSTANTIATE_TEST_SUITE_P(Cases, SamplerOf, testing::ValuesIn(cases()));

TEST_P(SamplerOf, VisitsEverySampleExactlyOnceAnEpoch) {
    for (const bool shuffle : {false, true}) {
        Sampler sampler = make(shuffle);
        for (Index epoch = 0; epoch < 3; ++epoch) {
            sampler.start_epoch(epoch);
            std::vector<Index> samples = visited(sampler, GetParam().replicas);
            if (shuffle) std::sort(samples.begin(), samples.end());
            ASSERT_EQ(static_cast<Index>(samples.size()), GetParam().samples);
            for (Index i = 0; i < GetParam().samples; ++i) ASSERT_EQ(samples[static_cast<std::size_t>(i)], i);
        }
    }
}

TEST_P(SamplerOf, SizesDifferByAtMostOne) {
    const Sampler sampler = make(false);
    const Case c = GetParam();
    EXPECT_EQ(sampler.batches(), (c.samples + c.global_batch - 1) / c.global_batch);
    Index smallest_batch = c.samples, largest_batch = 0, largest_slice = 0;
    for (Index step = 0; step < sampler.batches(); ++step) {
        const SampleRange batch = sampler.global_batch(step);
        smallest_batch = std::min(smallest_batch, batch.size());
        largest_batch = std::max(largest_batch, batch.size());
        Index smallest = c.samples, largest = 0;
        for (int replica = 0; replica < c.replicas; ++replica) {
            smallest = std::min(smallest, sampler.replica_slice(step, replica).size());
            largest = std::max(largest, sampler.replica_slice(step, replica).size());
        }
        EXPECT_LE(largest - smallest, 1);
        EXPECT_EQ(sampler.replica_slice(step, 0).begin, batch.begin);
        EXPECT_EQ(sampler.replica_slice(step, c.replicas - 1).end, batch.end);
        largest_slice = std::max(largest_slice, largest);
    }
    EXPECT_LE(largest_batch - smallest_batch, 1);
    EXPECT_GE(smallest_batch, 1);
    EXPECT_LE(largest_batch, c.global_batch);
    EXPECT_EQ(sampler.largest_slice(), largest_slice);
}

TEST(Sampler, OrderIsAFunctionOfSeedAndEpochAlone) {
    const auto order = [](std::uint64_t seed, Index epoch, Index global_batch, int replicas) {
        Sampler sampler({.samples = 500, .global_batch = global_batch, .replicas = replicas, .seed = seed});
        sampler.start_epoch(17);  // what went before leaves no trace
        sampler.start_epoch(epoch);
        return visited(sampler, replicas);
    };
    EXPECT_EQ(order(3, 2, 64, 1), order(3, 2, 10, 5));
    EXPECT_NE(order(3, 2, 64, 1), order(3, 1, 64, 1));
    EXPECT_NE(order(3, 2, 64, 1), order(4, 2, 64, 1));
}

TEST(Sampler, ReallyShufflesFromTheStart) {
    const Sampler sampler({.samples = 500, .global_batch = 10});
    EXPECT_FALSE(std::ranges::is_sorted(visited(sampler, 1)));
}

TEST(Sampler, DoesNotOverflowAtTheLimits) {
    constexpr Index most = std::numeric_limits<std::uint32_t>::max();
    const Sampler many({.samples = most, .global_batch = 1, .replicas = 1, .shuffle = false});
    EXPECT_EQ(many.global_batch(most - 1), (SampleRange{most - 1, most}));
    const Sampler one({.samples = most,
                       .global_batch = std::numeric_limits<Index>::max(),
                       .replicas = std::numeric_limits<int>::max(),
                       .shuffle = false});
    EXPECT_EQ(one.batches(), 1);
    EXPECT_EQ(one.global_batch(0), (SampleRange{0, most}));
    EXPECT_EQ(one.replica_slice(0, std::numeric_limits<int>::max() - 1).end, most);
}

TEST(Sampler, RejectsNonsense) {
    EXPECT_THROW(Sampler({.samples = 0, .global_batch = 1}), UsageError);
    EXPECT_THROW(Sampler({.samples = -1, .global_batch = 1}), UsageError);
    EXPECT_THROW(Sampler({.samples = 10, .global_batch = 0}), UsageError);
    EXPECT_THROW(Sampler({.samples = 10, .global_batch = 5, .replicas = 0}), UsageError);
    EXPECT_THROW(Sampler({.samples = Index{1} << 32, .global_batch = 5}), UsageError);
}

}  // namespace
}  // namespace lockstep
