#include <lockstep/data/sampler.hpp>

#include <lockstep/base/error.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>
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

std::string to_string(const Case& c) {
    return "N=" + std::to_string(c.samples) + " G=" + std::to_string(c.global_batch) +
           " R=" + std::to_string(c.replicas);
}

std::vector<Case> cases() {
    std::vector<Case> all;
    for (const Index samples : {1, 2, 3, 7, 29, 64, 100, 997})
        for (const Index global_batch : {1, 2, 5, 14, 64, 1000})
            for (const int replicas : {1, 2, 3, 4, 7, 32}) all.push_back({samples, global_batch, replicas});
    return all;
}

Sampler make_sampler(const Case& c, bool shuffle) {
    return Sampler(
        {.samples = c.samples, .global_batch = c.global_batch, .replicas = c.replicas, .shuffle = shuffle});
}

void check_each_is_visited_once(const Case& c, bool shuffle) {
    Sampler sampler = make_sampler(c, shuffle);
    for (Index epoch = 0; epoch < 3; ++epoch) {
        sampler.start_epoch(epoch);
        std::vector<Index> samples = visited(sampler, c.replicas);
        if (shuffle) std::sort(samples.begin(), samples.end());
        ASSERT_EQ(static_cast<Index>(samples.size()), c.samples);
        for (Index i = 0; i < c.samples; ++i) ASSERT_EQ(samples[static_cast<std::size_t>(i)], i);
    }
}

TEST(Sampler, VisitsEverySampleExactlyOnceAnEpoch) {
    for (const Case& c : cases()) {
        SCOPED_TRACE(to_string(c));
        check_each_is_visited_once(c, true);
        check_each_is_visited_once(c, false);  // and in the order of the data set
    }
}

struct Extremes {
    Index smallest = std::numeric_limits<Index>::max();
    Index largest = 0;
    void add(Index value) {
        smallest = std::min(smallest, value);
        largest = std::max(largest, value);
    }
};

void check_sizes(const Case& c) {
    const Sampler sampler = make_sampler(c, false);
    EXPECT_EQ(sampler.batches(), (c.samples + c.global_batch - 1) / c.global_batch);
    Extremes batches, all_slices;
    for (Index step = 0; step < sampler.batches(); ++step) {
        const SampleRange batch = sampler.global_batch(step);
        batches.add(batch.size());
        Extremes slices;
        for (int replica = 0; replica < c.replicas; ++replica) {
            slices.add(sampler.replica_slice(step, replica).size());
            all_slices.add(sampler.replica_slice(step, replica).size());
        }
        EXPECT_LE(slices.largest - slices.smallest, 1);
        EXPECT_EQ(sampler.replica_slice(step, 0).begin, batch.begin);
        EXPECT_EQ(sampler.replica_slice(step, c.replicas - 1).end, batch.end);
    }
    EXPECT_LE(batches.largest - batches.smallest, 1);
    EXPECT_GE(batches.smallest, 1);
    EXPECT_LE(batches.largest, c.global_batch);
    EXPECT_EQ(sampler.largest_slice(), all_slices.largest);
}

TEST(Sampler, SizesDifferByAtMostOne) {
    for (const Case& c : cases()) {
        SCOPED_TRACE(to_string(c));
        check_sizes(c);
    }
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
    constexpr Index most = Index{1} << 62;
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
    EXPECT_THROW(Sampler({.samples = (Index{1} << 62) + 1, .global_batch = 5}), UsageError);
}

}  // namespace
}  // namespace lockstep
