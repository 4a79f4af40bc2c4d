// Many ranks as several nodes of one machine: the bits of one rank, and few messages and bytes between the nodes.
#include <lockstep/comm/nodes.hpp>
#include <lockstep/comm/tree_exchange.hpp>

#include <support/mpi_calls.hpp>
#include <support/mpi_values.hpp>
#include <support/ranks_per_node.hpp>
#include <support/training.hpp>

#include <gtest/gtest.h>

#include <bit>

namespace lockstep::test {
namespace {

using testing::RanksPerNode;
using testing::world_size;

TrainerOptions options_of(int replicas, const char* mode, OptimizerKind optimizer) {
    TrainerOptions options = small_options(replicas, mode, 4);
    options.optimizer.kind = optimizer;
    if (optimizer == OptimizerKind::adamw) options.schedule.learning_rate = 0.01;
    options.schedule.epochs = 1;
    return options;
}

void expect_same_bits_as_alone(const TrainerOptions& options, const Dataset& data) {
    const auto alone = train<float>(options, data, Communicator::self());
    for (const int ranks : {1, 2, 3, 5, 8, 16}) {
        const RanksPerNode nodes(ranks);
        const auto together = train<float>(options, data, Communicator(MPI_COMM_WORLD));
        EXPECT_EQ(together.losses, alone.losses) << ranks << " ranks a node";
        EXPECT_EQ(together.fingerprint, alone.fingerprint) << ranks << " ranks a node";
        if (ranks >= world_size()) break;
    }
}

TEST(Cluster, TrainsToTheBitsOfOneRank) {
    const Images data = noisy_columns(257);
    for (const int replicas : {16, 17, 24})
        for (const char* mode : {"local", "group:2", "sync"})
            for (const OptimizerKind optimizer : {OptimizerKind::sgd, OptimizerKind::adamw}) {
                if (replicas % 2 != 0 && std::string(mode) == "group:2") continue;
                if (replicas < world_size()) continue;
                SCOPED_TRACE(std::to_string(replicas) + " replicas, " + mode);
                expect_same_bits_as_alone(options_of(replicas, mode, optimizer), data);
            }
}

// Few trainings, for so many processes on one machine take their time.
TEST(Cluster, TrainsToTheBitsOfOneRankOn64Ranks) {
    if (world_size() != 64) return;
    const Images data = noisy_columns(257);
    const TrainerOptions options = options_of(64, "sync", OptimizerKind::sgd);
    const auto alone = train<float>(options, data, Communicator::self());
    const RanksPerNode nodes(4);
    EXPECT_EQ(train<float>(options, data, Communicator(MPI_COMM_WORLD)).fingerprint, alone.fingerprint);
}

/// What one sum of gradients sends between nodes.
struct Traffic {
    long messages = 0;  // of this rank, to whomever
    long bytes = 0;     // of this rank's node, to other nodes
};

long bytes_to_other_nodes(const Nodes& nodes) {
    long bytes = 0;
    for (int rank = 0; rank < world_size(); ++rank)
        if (std::ranges::find(nodes.mates(), rank) == nodes.mates().end())
            bytes += mpi_bytes_to[static_cast<std::size_t>(rank)];
    return bytes;
}

Traffic traffic_of_a_sum(const Communicator& world, Index values, int replicas) {
    const auto nodes = nodes_of(world);
    const auto sum = GradientSum<float>::create(world, ReplicaMap(replicas, world.size()), values);
    for (float* array : sum->cover()) std::fill_n(array, values, 1.0F);
    MPI_Barrier(MPI_COMM_WORLD);
    const long messages = mpi_calls(), bytes = bytes_to_other_nodes(*nodes);
    const float* const result = sum->finish();
    const Traffic mine{mpi_calls() - messages, bytes_to_other_nodes(*nodes) - bytes};
    EXPECT_EQ(result[values - 1], static_cast<float>(replicas));
    Traffic all{mine.messages, 0};
    for (const std::string& text :
         world.all_gather(std::to_string(nodes->node()) + ' ' + std::to_string(mine.bytes), "")) {
        if (std::stoi(text) == nodes->node()) all.bytes += std::stol(text.substr(text.find(' ')));
    }
    return all;
}

TEST(Cluster, SendsFewMessages) {
    for (const int ranks : {1, 2, 3, 4, 8}) {
        if (ranks >= world_size()) break;
        const RanksPerNode environment(ranks);
        const Communicator world(MPI_COMM_WORLD);
        const int nodes = nodes_of(world)->count();
        const int doublings = std::bit_width(static_cast<unsigned>(nodes - 1));
        for (const Index values : {100, 60'000}) {
            const long messages = traffic_of_a_sum(world, values, world.size()).messages;
            EXPECT_LE(messages, 4 * doublings + 4) << nodes << " nodes, " << values << " values";
        }
    }
}

/// The messages that this rank sends in one exchange of statistics.
long messages_of_an_exchange(const Communicator& world, std::size_t values) {
    const ReplicaMap map(world.size(), world.size());
    TreeExchange exchange(world, map, map.all(), values, sum_merge(values));
    std::fill_n(exchange.leaf(0), values, world.rank());
    exchange.push(0);
    MPI_Barrier(MPI_COMM_WORLD);
    const long before = mpi_calls();
    exchange.start(ExchangeLabel("layer", ExchangeKind::backward_sums, 300, sizeof(float)));
    const double last = exchange.wait()[values - 1];
    const long messages = mpi_calls() - before;
    EXPECT_EQ(last, world.size() * (world.size() - 1) / 2);
    return messages;
}

TEST(Cluster, OneRankOfANodeSendsItsStatistics) {
    for (const int ranks : {1, 2, 3, 4, 8, 64}) {
        const RanksPerNode environment(ranks);
        const Communicator world(MPI_COMM_WORLD);
        share_exchange_memory(world);
        const auto nodes = nodes_of(world);
        int digits = 0;  // log₈ of the nodes, rounded up
        for (int n = 1; n < nodes->count(); n *= 8) ++digits;
        EXPECT_LE(messages_of_an_exchange(world, 600), nodes->index() == 0 ? 2 * digits * 7 : 0)
            << nodes->count() << " nodes";
    }
}

// Where every node's replicas are one node of the tree, no all-reduce can do with less.
TEST(Cluster, SendsNoMoreThanTheBestAllReduce) {
    constexpr Index values = 400'000;
    for (const int ranks : {1, 2, 3, 4, 8}) {
        if (world_size() % ranks != 0 || ranks == world_size()) continue;
        const RanksPerNode environment(ranks);
        const Communicator world(MPI_COMM_WORLD);
        const int nodes = world.size() / ranks;
        if (!std::has_single_bit(static_cast<unsigned>(nodes)) && world.size() != 3) continue;
        const double bound = 2.0 * (nodes - 1) / nodes * static_cast<double>(values * sizeof(float));
        EXPECT_LE(static_cast<double>(traffic_of_a_sum(world, values, world.size()).bytes), 1.05 * bound)
            << nodes << " nodes of " << ranks << " ranks";
    }
}

}  // namespace
}  // namespace lockstep::test
