// The sum of gradients, in shared memory, in messages, and in both: the bits of the tree whoever adds which part of it and
// whenever they come; a rank that does not come is named.
#include <lockstep/base/error.hpp>
#include <lockstep/comm/gradient_sum.hpp>
#include <lockstep/comm/nodes.hpp>

#include "support/mpi_values.hpp"
#include "support/ranks_per_node.hpp"
#include "support/replica_arrays.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

namespace lockstep {
namespace {

using testing::contains;
using testing::error_of;
using testing::expected_sum;
using testing::RanksPerNode;
using testing::ReplicaArrays;
using testing::world_size;

template <class Scalar>
std::vector<Scalar> result_of(GradientSum<Scalar>& sum, std::size_t count) {
    const Scalar* const result = sum.finish();
    return {result, result + count};
}

template <class Scalar>
void expect_bits_of_the_tree(std::size_t count, const GradientSumOptions& options = {},
                             int more_replicas = 6) {
    const Communicator world(MPI_COMM_WORLD);
    for (int replicas = world.size(); replicas <= world.size() + more_replicas; ++replicas) {
        const ReplicaMap map(replicas, world.size());
        const auto sum = GradientSum<Scalar>::create(world, map, static_cast<Index>(count), options);
        ReplicaArrays<Scalar> arrays(world, map, count, sum->cover());
        for (std::uint64_t call = 1; call <= 3; ++call) {
            arrays.fill(call);
            for (auto offset = static_cast<Index>(count); offset > 0; offset -= 70000) sum->ready(offset);
            ASSERT_EQ(result_of(*sum, count), expected_sum<Scalar>(replicas, count, call))
                << replicas << " replicas, " << count << " values, call " << call << ", " << sum->path();
        }
    }
}

TEST(GradientSum, GivesTheBitsOfTheTree) {
    for (const std::size_t count : {1, 15, 1000, 8192, 8193, 50001}) {
        expect_bits_of_the_tree<float>(count);
        expect_bits_of_the_tree<double>(count);
    }
}

TEST(GradientSum, GivesThemInMessagesToo) {
    for (const std::size_t count : {1, 1000}) {
        expect_bits_of_the_tree<float>(count, {.path = GradientPath::messages});
        expect_bits_of_the_tree<double>(count, {.path = GradientPath::messages});
    }
}

TEST(GradientSum, GivesThemAmongSeveralNodesToo) {
    for (int ranks = 1; ranks < world_size(); ++ranks) {
        const RanksPerNode nodes(ranks);
        for (const std::size_t count : {1, 40, 1000}) expect_bits_of_the_tree<float>(count);
        expect_bits_of_the_tree<double>(1000);
    }
}

TEST(GradientSum, GivesThemInManyBucketsToo) {
    for (int ranks = 1; ranks < world_size(); ++ranks) {
        const RanksPerNode nodes(ranks);
        expect_bits_of_the_tree<float>(200001, {}, 2);  // buckets hold 64 Ki floats for each rank of a node
    }
}

TEST(GradientSum, OfNothingIsNothing) {
    expect_bits_of_the_tree<float>(0);
    expect_bits_of_the_tree<float>(0, {.path = GradientPath::messages});
}

TEST(GradientSum, TakesThePathThatItSays) {
    const auto path = [](const GradientSumOptions& options) {
        const Communicator world(MPI_COMM_WORLD);
        const ReplicaMap map(world.size(), world.size());
        return GradientSum<float>::create(world, map, 100, options)->path();
    };
    EXPECT_EQ(path({.path = GradientPath::messages}), "in messages");
    EXPECT_EQ(path({.reduction = Reduction::fast}), "by MPI_Allreduce");
    if (world_size() == 1) return;
    EXPECT_EQ(path({}), "in shared memory");
    const RanksPerNode alone(1);
    EXPECT_EQ(path({}), "in messages");
    if (world_size() == 2) return;
    const RanksPerNode pairs(2);
    EXPECT_TRUE(contains(path({}), "in shared memory within ")) << path({});
}

TEST(GradientSum, FastReductionIsClose) {
    const Communicator world(MPI_COMM_WORLD);
    const ReplicaMap map(9, world.size());
    constexpr std::size_t count = 70001;
    const auto sum = GradientSum<double>::create(world, map, count, {.reduction = Reduction::fast});
    ReplicaArrays<double> arrays(world, map, count, sum->cover());
    for (std::uint64_t call = 1; call <= 2; ++call) {
        arrays.fill(call);
        sum->ready(40000);
        const std::vector<double> result = result_of(*sum, count),
                                  expected = expected_sum<double>(9, count, call);
        for (std::size_t i = 0; i < count; ++i)
            ASSERT_NEAR(result[i], expected[i], 1e-9 * (1 + std::abs(expected[i])));
        EXPECT_TRUE(testing::same_on_all_ranks(result));
    }
}

// Ranks complete their arrays in steps of their own, rest when they please, and write the next values at
// once.
void expect_not_to_depend_on_when_ranks_come() {
    const Communicator world(MPI_COMM_WORLD);
    constexpr std::size_t count = 70001;
    const ReplicaMap map(2 * world.size() + 1, world.size());
    const auto sum = GradientSum<float>::create(world, map, count);
    ReplicaArrays<float> arrays(world, map, count, sum->cover());
    RandomStream random(1, RandomPurpose::test, static_cast<std::uint64_t>(world.rank()));
    const auto rest = [&] {
        if (random.uniform() < 0.3)
            std::this_thread::sleep_for(std::chrono::microseconds(static_cast<int>(random.uniform(0, 500))));
    };
    std::vector<std::vector<float>> expected;
    for (std::uint64_t seed = 0; seed < 3; ++seed)
        expected.push_back(expected_sum<float>(map.replicas(), count, seed));
    for (std::uint64_t call = 0; call < 60; ++call) {
        arrays.fill(call % 3);
        for (Index offset = count; offset > 0; offset -= static_cast<Index>(random.uniform(1, 30000))) {
            sum->ready(offset);
            rest();
        }
        ASSERT_EQ(result_of(*sum, count), expected[call % 3]) << "call " << call;
        rest();
    }
}

TEST(GradientSum, DoesNotDependOnWhenRanksCome) {
    for (int ranks = 1; ranks <= world_size(); ++ranks) {
        const RanksPerNode nodes(ranks);
        expect_not_to_depend_on_when_ranks_come();
    }
}

TEST(GradientSum, SeveralMayBeUnderWay) {
    const Communicator world(MPI_COMM_WORLD);
    const ReplicaMap map(7, world.size());
    const std::vector<std::size_t> counts{50000, 3, 9000};
    std::vector<std::unique_ptr<GradientSum<double>>> sums;
    for (std::size_t i = 0; i < counts.size(); ++i) {
        sums.push_back(GradientSum<double>::create(world, map, static_cast<Index>(counts[i])));
        ReplicaArrays<double>(world, map, counts[i], sums[i]->cover()).fill(i);
        sums[i]->ready(0);
    }
    for (std::size_t i = counts.size(); i-- > 0;)
        EXPECT_EQ(result_of(*sums[i], counts[i]), expected_sum<double>(7, counts[i], i)) << "sum " << i;
}

TEST(GradientSum, ARankThatHasGivenItsPartIsNotWaitedFor) {
    const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 20});
    constexpr std::size_t count = 50000;
    const ReplicaMap map(world.size(), world.size());
    const auto sum = GradientSum<float>::create(world, map, count);
    ReplicaArrays<float>(world, map, count, sum->cover()).fill(1);
    sum->ready(0);
    if (world.rank() == 0) MPI_Barrier(MPI_COMM_WORLD);  // until all others have finished
    EXPECT_EQ(result_of(*sum, count), expected_sum<float>(map.replicas(), count, 1));
    if (world.rank() != 0) MPI_Barrier(MPI_COMM_WORLD);
}

void expect_a_missing_rank_to_be_named() {
    constexpr Index count = 50000;
    for (const Index given : {Index{0}, count - 1}) {
        const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 0.5});
        const auto sum = GradientSum<float>::create(world, ReplicaMap(world.size(), world.size()), count);
        sum->ready(count - given);
        if (world.rank() != 0) {
            const testing::Watch watch;
            const std::string text = error_of<CommunicationError>([&] { sum->finish(); });
            EXPECT_TRUE(contains(text, "rank 0 did not come")) << text;
            EXPECT_LT(watch.seconds(), 5.0);
            EXPECT_TRUE(contains(error_of<CommunicationError>([&] { sum->finish(); }), "failed before"));
        }
        MPI_Barrier(MPI_COMM_WORLD);
    }
}

TEST(GradientSum, AMissingRankIsNamedAfterTheTimeout) {
    if (world_size() == 1) return;
    for (const int ranks : {1, world_size() - 1, world_size()}) {
        const RanksPerNode nodes(ranks);
        expect_a_missing_rank_to_be_named();
    }
}

TEST(GradientSum, AFailureElsewhereEndsTheWait) {
    if (world_size() == 1) return;
    const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 60});
    const auto sum = GradientSum<float>::create(world, ReplicaMap(world.size(), world.size()), 1000);
    if (world.rank() == 0) {
        world.announce_failure("out of ideas");
    } else {
        const testing::Watch watch;
        const std::string text = error_of<CommunicationError>([&] { sum->finish(); });
        EXPECT_TRUE(contains(text, "out of ideas")) << text;
        EXPECT_LT(watch.seconds(), testing::promptly());
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

TEST(GradientSum, RanksThatDoNotAgreeAreNamed) {
    if (world_size() == 1) return;
    const Communicator world(MPI_COMM_WORLD);
    const bool last = world.rank() + 1 == world.size();
    const std::string culprit = " on rank " + std::to_string(world.size() - 1);
    const auto create = [&](Index count, int more_replicas) {
        return error_of<CommunicationError>([&] {
            GradientSum<float>::create(world, ReplicaMap(world.size() + more_replicas, world.size()), count);
        });
    };
    EXPECT_TRUE(contains(create(last ? 9 : 8, 0), "9" + culprit));
    const std::string replicas = create(8, last ? 1 : 0);
    EXPECT_TRUE(contains(replicas, "replicas")) << replicas;
    EXPECT_TRUE(contains(replicas, std::to_string(world.size() + 1) + culprit)) << replicas;
}

}  // namespace
}  // namespace lockstep
