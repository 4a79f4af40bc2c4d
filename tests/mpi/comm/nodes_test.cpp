// Which ranks share a node, and the communicator whose ranks are numbered node by node.
#include <lockstep/base/error.hpp>
#include <lockstep/comm/nodes.hpp>

#include "support/mpi_values.hpp"
#include "support/ranks_per_node.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

namespace lockstep {
namespace {

using testing::contains;
using testing::error_of;
using testing::RanksPerNode;
using testing::world_size;

#ifdef __linux__

TEST(Nodes, OneMachineIsOneNode) {
    const Communicator world(MPI_COMM_WORLD);
    const auto nodes = nodes_of(world);
    EXPECT_EQ(nodes->count(), 1);
    EXPECT_EQ(nodes->index(), world.rank());
    EXPECT_EQ(nodes->smallest(), world.size());
    EXPECT_EQ(nodes_of(world), nodes) << "it is looked for once";
}

TEST(Nodes, AreAsSmallAsTheEnvironmentSays) {
    for (int ranks = 1; ranks <= world_size() + 1; ++ranks) {
        const RanksPerNode environment(ranks);
        const Communicator world(MPI_COMM_WORLD);
        const auto nodes = nodes_of(world);
        EXPECT_EQ(nodes->count(), (world.size() + ranks - 1) / ranks);
        EXPECT_EQ(nodes->node(), world.rank() / ranks);
        EXPECT_EQ(nodes->index(), world.rank() % ranks);
        EXPECT_EQ(nodes->largest(), std::min(ranks, world.size()));
        EXPECT_TRUE(nodes->in_order());
    }
}

#endif

TEST(Nodes, AVariableThatIsNoNumberIsRefused) {
    for (const char* value : {"two", "0", "-1", "2x"}) {
        ::setenv("LOCKSTEP_RANKS_PER_NODE", value, 1);
        const std::string text = error_of<Error>([] { nodes_of(Communicator(MPI_COMM_WORLD)); });
        EXPECT_TRUE(contains(text, "LOCKSTEP_RANKS_PER_NODE is '" + std::string(value) + "'")) << text;
    }
    ::unsetenv("LOCKSTEP_RANKS_PER_NODE");
}

TEST(Nodes, AVariableThatDiffersIsRefused) {
    if (world_size() == 1) return;
    const Communicator world(MPI_COMM_WORLD);
    const RanksPerNode environment(world.rank() == 0 ? 1 : 2);
    const std::string text = error_of<CommunicationError>([&] { nodes_of(world); });
    EXPECT_TRUE(contains(text, "LOCKSTEP_RANKS_PER_NODE: 1 on rank 0; 2 on rank 1")) << text;
}

TEST(Nodes, KnowWhetherRanksAreInOrder) {
    using Ranks = std::vector<std::vector<int>>;
    EXPECT_TRUE(Nodes(Ranks({{0, 1}, {2}}), 2).in_order());
    EXPECT_FALSE(Nodes(Ranks({{0, 2}, {1}}), 1).in_order());
    EXPECT_THROW(Nodes(Ranks({{0, 2}, {1}}), 3), Error);
}

TEST(Nodes, ACommunicatorInOrderStaysAsItIs) {
    const Communicator world(MPI_COMM_WORLD);
    EXPECT_EQ(by_node(world).handle(), world.handle());
}

}  // namespace
}  // namespace lockstep
