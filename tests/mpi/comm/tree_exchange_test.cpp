// The short exchange: the bits of the tree at any number of ranks, and an error, not a hang, where ranks
// disagree.
#include <lockstep/base/error.hpp>
#include <lockstep/comm/tree_exchange.hpp>

#include "support/mpi_values.hpp"
#include "support/ranks_per_node.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace lockstep {
namespace {

using testing::contains;
using testing::error_of;
using testing::promptly;
using testing::same_on_all_ranks;
using testing::tree_sum;
using testing::values_of_replica;
using testing::Watch;
using testing::world_rank;
using testing::world_size;

/// How messages travel.
struct Path {
    const char* name;
    bool shares_memory;
    int ranks_per_node;
};

void PrintTo(const Path& path, std::ostream* out) {
    *out << path.name;
}

class TreeExchangeBy : public ::testing::TestWithParam<Path> {
  protected:
    static Communicator everybody(CommunicatorOptions options = {}) {
        const testing::RanksPerNode ranks(GetParam().ranks_per_node);
        const Communicator world(MPI_COMM_WORLD, options);
        if (GetParam().shares_memory) share_exchange_memory(world);
        return world;
    }

    static std::string error_of_exchange(const ExchangeLabel& label, std::size_t values);
};
INSTANTIATE_TEST_SUITE_P(Paths, TreeExchangeBy,
                         ::testing::Values(Path{"messages", false, 64}, Path{"memory", true, 64},
                                           Path{"nodes_of_2", true, 2}, Path{"nodes_of_3", true, 3}),
                         [](const auto& path) { return path.param.name; });

ExchangeLabel label_of(const std::string& layer, std::uint64_t call = 1,
                       ExchangeKind kind = ExchangeKind::forward_moments, std::int64_t channels = 8) {
    ExchangeLabel label(layer, kind, channels, sizeof(float));
    label.call = call;
    return label;
}

void push_values(TreeExchange& exchange, std::size_t count, std::uint64_t seed) {
    for (int i = 0; i < exchange.hosted().size(); ++i) {
        const auto values = values_of_replica<double>(exchange.hosted().begin + i, count, seed);
        std::copy(values.begin(), values.end(), exchange.leaf(i));
        exchange.push(i);
    }
}

std::vector<double> expected_sum(ReplicaRange tree, std::size_t count, std::uint64_t seed) {
    return tree_sum<double>(tree,
                            [&](int replica) { return values_of_replica<double>(replica, count, seed); });
}

TEST_P(TreeExchangeBy, GivesTheBitsOfTheTreeOnEveryRank) {
    const Communicator world = everybody();
    for (int replicas = std::max(4, world.size()); replicas <= 9; ++replicas) {
        const ReplicaMap map(replicas, world.size());
        // 1 value and many: below and above the size from which MPI asks before it sends.
        for (const std::size_t count : {std::size_t{1}, std::size_t{7}, std::size_t{5000}}) {
            TreeExchange exchange(world, map, map.all(), count, sum_merge(count));
            for (std::uint64_t call = 1; call <= 3; ++call) {
                push_values(exchange, count, call);
                exchange.start(label_of("sum", call));
                const double* const result = exchange.wait();
                ASSERT_EQ(std::vector<double>(result, result + count), expected_sum(map.all(), count, call))
                    << replicas << " replicas, " << count << " values, call " << call;
            }
        }
    }
}

TEST_P(TreeExchangeBy, StagesGiveTheSameBits) {
    const Communicator world = everybody();
    for (const int replicas : {world.size(), 2 * world.size() + 1})
        for (const int direct_ranks : {1, 2}) {  // so that even these few ranks go through stages
            const ReplicaMap map(replicas, world.size());
            TreeExchange first(world, map, map.all(), 700, sum_merge(700), direct_ranks);
            TreeExchange second(world, map, map.all(), 3, sum_merge(3), direct_ranks);
            TreeExchange third(world, map, map.all(), 9, sum_merge(9));
            for (std::uint64_t call = 1; call <= 20; ++call) {
                push_values(first, 700, call);
                first.start(label_of("first", call));
                push_values(second, 3, call);
                second.start(label_of("second", call));
                push_values(third, 9, call);
                third.start(label_of("third", call));
                const double* const three = third.wait();
                ASSERT_EQ(std::vector<double>(three, three + 9), expected_sum(map.all(), 9, call));
                const double* const two = second.wait();
                ASSERT_EQ(std::vector<double>(two, two + 3), expected_sum(map.all(), 3, call));
                const double* const one = first.wait();
                ASSERT_EQ(std::vector<double>(one, one + 700), expected_sum(map.all(), 700, call));
            }
        }
}

TEST_P(TreeExchangeBy, GroupsOfReplicasExchangeAmongThemselves) {
    const Communicator world = everybody();
    for (const int group : {2, 3, 4, 6, 12}) {
        const ReplicaMap map(12, world.size());
        for (const ReplicaRange tree : map.groups(group)) {
            if (intersection(tree, map.block(world.rank())).empty()) continue;
            TreeExchange exchange(world, map, tree, 9, sum_merge(9));
            push_values(exchange, 9, 5);
            exchange.start(label_of("group"));
            const double* const result = exchange.wait();
            EXPECT_EQ(std::vector<double>(result, result + 9), expected_sum(tree, 9, 5))
                << "groups of " << group;
        }
    }
}

TEST_P(TreeExchangeBy, SeveralMayBeUnderWayAndEndInAnyOrder) {
    const Communicator world = everybody();
    const ReplicaMap map(7, world.size());
    TreeExchange first(world, map, map.all(), 3, sum_merge(3)),
        second(world, map, map.all(), 2000, sum_merge(2000)), third(world, map, map.all(), 5, sum_merge(5));
    push_values(first, 3, 1);
    first.start(label_of("first"));
    push_values(second, 2000, 2);
    second.start(label_of("second"));
    push_values(third, 5, 3);
    third.start(label_of("third"));
    while (!third.poll()) {
    }
    const double* const third_sum = third.wait();
    EXPECT_EQ(std::vector<double>(third_sum, third_sum + 5), expected_sum(map.all(), 5, 3));
    // A new call of one while others still wait.
    push_values(third, 5, 4);
    third.start(label_of("third", 2));
    const double* const second_sum = second.wait();
    EXPECT_EQ(std::vector<double>(second_sum, second_sum + 2000), expected_sum(map.all(), 2000, 2));
    const double* const again = third.wait();
    EXPECT_EQ(std::vector<double>(again, again + 5), expected_sum(map.all(), 5, 4));
    const double* const first_sum = first.wait();
    EXPECT_EQ(std::vector<double>(first_sum, first_sum + 3), expected_sum(map.all(), 3, 1));
}

TEST_P(TreeExchangeBy, ARankThatRunsAheadDoesNotConfuseTheOthers) {
    const Communicator world = everybody();
    const ReplicaMap map(world.size(), world.size());
    TreeExchange exchange(world, map, map.all(), 2, sum_merge(2));
    for (std::uint64_t call = 1; call <= 20; ++call) {
        if (static_cast<int>(call) % world.size() == world.rank())
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
        push_values(exchange, 2, call);
        exchange.start(label_of("sum", call));
        const double* const result = exchange.wait();
        ASSERT_EQ(std::vector<double>(result, result + 2), expected_sum(map.all(), 2, call));
    }
}

// More of them than the memory between two ranks takes at once, short ones and such as do not fit in at all, while one
// rank after the other comes late.
TEST_P(TreeExchangeBy, ManyOfAllLengthsMayBeUnderWay) {
    const Communicator world = everybody();
    const ReplicaMap map(world.size() + 1, world.size());
    const std::vector<std::size_t> counts{1, 600, 20'000, 3, 9'000, 1, 12'000, 5, 17'000, 70, 2, 4000};
    std::vector<std::unique_ptr<TreeExchange>> exchanges;
    for (int copy = 0; copy < 2; ++copy)
        for (const std::size_t count : counts)
            exchanges.push_back(
                std::make_unique<TreeExchange>(world, map, map.all(), count, sum_merge(count), 1 + 7 * copy));
    for (std::uint64_t call = 1; call <= 6; ++call) {
        if (static_cast<int>(call) % world.size() == world.rank())
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        for (std::size_t i = 0; i < exchanges.size(); ++i) {
            push_values(*exchanges[i], counts[i % counts.size()], call + i);
            exchanges[i]->start(label_of("exchange " + std::to_string(i), call));
        }
        for (std::size_t i = exchanges.size(); i-- > 0;) {
            const std::size_t count = counts[i % counts.size()];
            const double* const result = exchanges[i]->wait();
            ASSERT_EQ(std::vector<double>(result, result + count), expected_sum(map.all(), count, call + i))
                << "call " << call << ", exchange " << i;
        }
    }
}

/// All ranks exchange with labels of their own; returns the error.
std::string TreeExchangeBy::error_of_exchange(const ExchangeLabel& label, std::size_t values) {
    const Communicator world = everybody({.timeout_seconds = 20});
    const ReplicaMap map(world.size(), world.size());
    MPI_Barrier(MPI_COMM_WORLD);
    const Watch watch;
    TreeExchange exchange(world, map, map.all(), values, sum_merge(values));
    push_values(exchange, values, 1);
    const std::string text = error_of<CommunicationError>([&] {
        exchange.start(label);
        exchange.wait();
    });
    if (world.size() > 1) {
        EXPECT_LT(watch.seconds(), promptly()) << "a mismatch must be seen on arrival";
        EXPECT_TRUE(contains(text, "rank " + std::to_string(world.rank()))) << text;
        // Whoever goes on is told at once, and does not wait for the time-out either.
        EXPECT_TRUE(contains(error_of<CommunicationError>([&] { exchange.start(label); }), "failed before"));
    } else {
        EXPECT_EQ(text, "");
    }
    MPI_Barrier(MPI_COMM_WORLD);
    return text;
}

TEST_P(TreeExchangeBy, AnotherLayerIsNamedOnEveryRank) {
    const bool odd_one_out = world_rank() == world_size() - 1;
    const std::string text = error_of_exchange(label_of(odd_one_out ? "bn2" : "bn1"), 17);
    if (world_size() == 1) return;
    EXPECT_TRUE(contains(text, "bn1")) << text;
    EXPECT_TRUE(contains(text, "bn2")) << text;
}

TEST_P(TreeExchangeBy, ForwardAgainstBackwardIsNamed) {
    const auto kind = world_rank() == 0 ? ExchangeKind::backward_sums : ExchangeKind::forward_moments;
    const std::string text = error_of_exchange(label_of("bn1", 4, kind), 17);
    if (world_size() == 1) return;
    EXPECT_TRUE(contains(text, "forward")) << text;
    EXPECT_TRUE(contains(text, "backward")) << text;
}

TEST_P(TreeExchangeBy, ASkippedCallIsNamed) {
    const std::string text = error_of_exchange(label_of("bn1", world_rank() == 0 ? 18 : 17), 17);
    if (world_size() == 1) return;
    EXPECT_TRUE(contains(text, "call 17")) << text;
    EXPECT_TRUE(contains(text, "call 18")) << text;
}

TEST_P(TreeExchangeBy, ChannelCountsAreNamedAlthoughTheSizesDiffer) {
    // The sizes lie on both sides of the one from which MPI asks before it sends, and at last of the longest one that
    // goes through memory.
    for (const int most : {3000, 30'000}) {
        const std::int64_t channels = world_rank() == 0 ? most : 300;
        const std::string text =
            error_of_exchange(label_of("bn1", 1, ExchangeKind::forward_moments, channels),
                              static_cast<std::size_t>(2 * channels + 1));
        if (world_size() == 1) return;
        EXPECT_TRUE(contains(text, std::to_string(most) + " channels")) << text;
        EXPECT_TRUE(contains(text, "300 channels")) << text;
    }
}

TEST_P(TreeExchangeBy, LongMessagesAreNamedToo) {
    const std::string text = error_of_exchange(label_of(world_rank() == 0 ? "bn2" : "bn1"), 100'000);
    if (world_size() == 1) return;
    EXPECT_TRUE(contains(text, "bn1")) << text;
    EXPECT_TRUE(contains(text, "bn2")) << text;
}

TEST_P(TreeExchangeBy, ARankThatComesLateLearnsWhatTheOthersFound) {
    // The others have failed long before the last rank calls; its message is too long to have been buffered.
    const Communicator world = everybody({.timeout_seconds = 20});
    const ReplicaMap map(world.size(), world.size());
    TreeExchange exchange(world, map, map.all(), 50'000, sum_merge(50'000));
    push_values(exchange, 50'000, 1);
    const bool late = world.size() > 2 && world.rank() == world.size() - 1;
    if (late) std::this_thread::sleep_for(std::chrono::milliseconds(700));
    const Watch watch;
    const std::string text = error_of<CommunicationError>([&] {
        exchange.start(label_of(world.rank() == 0 ? "bn2" : "bn1"));
        exchange.wait();
    });
    if (world.size() > 1) {
        EXPECT_TRUE(contains(text, "bn2")) << text;
        EXPECT_TRUE(!late || watch.seconds() < promptly()) << watch.seconds();
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

TEST_P(TreeExchangeBy, ARankThatNeverComesIsNamedAndEverybodyFails) {
    if (world_size() == 1) return;
    const Communicator world = everybody({.timeout_seconds = 0.5});
    const ReplicaMap map(world.size(), world.size());
    const int missing = world.size() - 1;
    if (world.rank() != missing) {
        TreeExchange exchange(world, map, map.all(), 17, sum_merge(17));
        push_values(exchange, 17, 1);
        const Watch watch;
        const std::string text = error_of<CommunicationError>([&] {
            exchange.start(label_of("bn7", 3));
            exchange.wait();
        });
        for (const std::string part : {"time-out", "bn7", "call 3", "rank"})
            EXPECT_TRUE(contains(text, part)) << text;
        EXPECT_TRUE(contains(text, "came from rank " + std::to_string(missing))) << text;
        EXPECT_GT(watch.seconds(), 0.3);
        EXPECT_LT(watch.seconds(), 5.0);
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

TEST_P(TreeExchangeBy, AnExchangeGivenUpHalfWayLeavesMemoryThatMpiStillUses) {
    // Under the sanitizers: whatever arrives later for the exchange that is gone touches no freed memory.
    {
        const Communicator world = everybody();
        const ReplicaMap map(world.size(), world.size());
        TreeExchange exchange(world, map, map.all(), 50'000, sum_merge(50'000));
        push_values(exchange, 50'000, 1);
        exchange.start(label_of("given up"));
        exchange.poll();
    }
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Barrier(MPI_COMM_WORLD);
}

TEST_P(TreeExchangeBy, StartingTwiceIsAnError) {
    if (world_size() == 1) return;
    const Communicator world = everybody();
    const ReplicaMap map(world.size(), world.size());
    TreeExchange exchange(world, map, map.all(), 1, sum_merge(1));
    push_values(exchange, 1, 1);
    exchange.start(label_of("twice"));
    EXPECT_TRUE(contains(error_of<UsageError>([&] { exchange.start(label_of("twice")); }), "twice"));
    exchange.wait();
}

}  // namespace
}  // namespace lockstep
