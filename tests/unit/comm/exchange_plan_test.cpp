// The plans of all ranks, played through without MPI: every message that is sent is awaited and the other way
// round, and every rank ends with the root of the tree.
#include <lockstep/comm/exchange_plan.hpp>
#include <lockstep/comm/fixed_tree.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace lockstep {
namespace {

using Cover = std::vector<ReplicaRange>;

/// What remains of neighbouring nodes when siblings are joined.
Cover joined(ReplicaRange tree, const Cover& nodes) {
    return tree_cover(tree, {nodes.front().begin, nodes.back().end});
}

Cover all_nodes(const ExchangeStage& stage) {
    Cover nodes;
    for (const ExchangePart& part : stage.parts)
        nodes.insert(nodes.end(), part.nodes.begin(), part.nodes.end());
    return nodes;
}

std::vector<ExchangeStage> plan_of(const ReplicaMap& map, ReplicaRange tree, int rank, int direct_ranks,
                                   const Nodes& nodes) {
    return plan_exchange(map, tree, rank, direct_ranks, &nodes);
}

/// Nodes of so many ranks each; what is left over is a smaller one.
std::vector<std::vector<int>> nodes_of_size(int ranks, int size) {
    std::vector<std::vector<int>> nodes;
    for (int rank = 0; rank < ranks; ++rank) {
        if (rank % size == 0) nodes.emplace_back();
        nodes.back().push_back(rank);
    }
    return nodes;
}

/// The most messages to other nodes that a rank sends which is its node's sender, and one that is not.
struct Sent {
    std::size_t by_senders = 0, by_others = 0;
};

Sent sent_between_nodes(const ReplicaMap& map, const std::vector<std::vector<int>>& nodes) {
    Sent sent;
    for (int rank = 0; rank < map.ranks(); ++rank) {
        const Nodes mine(nodes, rank);
        std::size_t count = 0;
        for (const ExchangeStage& stage : plan_of(map, map.all(), rank, default_direct_ranks, mine))
            for (const int to : stage.send_to)
                if (std::ranges::find(mine.mates(), to) == mine.mates().end()) ++count;
        std::size_t& most = mine.index() == 0 ? sent.by_senders : sent.by_others;
        most = std::max(most, count);
    }
    return sent;
}

/// Checks the plans of all ranks that host a part of the tree; returns the most messages that one rank sends.
std::size_t check_plans(const ReplicaMap& map, ReplicaRange tree, int direct_ranks,
                        const std::vector<std::vector<int>>& nodes = {}) {
    std::map<int, std::vector<ExchangeStage>> plans;
    for (int rank = map.rank_of(tree.begin); rank <= map.rank_of(tree.end - 1); ++rank)
        plans[rank] = nodes.empty() ? plan_exchange(map, tree, rank, direct_ranks)
                                    : plan_of(map, tree, rank, direct_ranks, Nodes(nodes, rank));

    std::size_t most = 0;
    for (const auto& [rank, stages] : plans) {
        std::size_t sent = 0;
        Cover have = tree_cover(tree, map.block(rank));
        std::set<int> heard;
        for (const ExchangeStage& stage : stages) {
            sent += stage.send_to.size();
            for (const ExchangePart& part : stage.parts) {
                if (part.rank == rank) {
                    EXPECT_EQ(part.nodes, have) << "rank " << rank << " does not bring what it has";
                    continue;
                }
                // One message from a rank at the most: its order among those of other exchanges is clear.
                EXPECT_TRUE(heard.insert(part.rank).second);
                // Its sender sends just that, to us.
                const bool found = std::ranges::any_of(plans[part.rank], [&](const ExchangeStage& theirs) {
                    const auto own = std::ranges::find(theirs.parts, part.rank, &ExchangePart::rank);
                    return theirs.number == stage.number && std::ranges::count(theirs.send_to, rank) == 1 &&
                           own != theirs.parts.end() && own->nodes == part.nodes;
                });
                EXPECT_TRUE(found) << "rank " << rank << " waits in vain for rank " << part.rank;
            }
            have = joined(tree, all_nodes(stage));
        }
        EXPECT_EQ(have, Cover{tree}) << "rank " << rank << " of " << map.ranks() << " ends without the root";
        most = std::max(most, sent);
        std::size_t awaited = 0;
        for (const auto& [other, theirs] : plans)
            for (const ExchangeStage& stage : theirs)
                awaited += static_cast<std::size_t>(std::ranges::count(stage.send_to, rank));
        EXPECT_EQ(awaited, heard.size()) << "somebody sends to rank " << rank << " what it does not await";
    }
    return most;
}

TEST(ExchangePlan, EveryRankEndsWithTheRoot) {
    for (int ranks = 1; ranks <= 40; ++ranks)
        for (const int replicas : {ranks, ranks + 1, 2 * ranks, 3 * ranks + 2})
            for (const int direct : {1, 2, 8})
                check_plans(ReplicaMap(replicas, ranks), {0, replicas}, direct);
}

TEST(ExchangePlan, GroupsThatBeginAndEndAnywhere) {
    const ReplicaMap map(60, 17);
    for (const int group : {2, 3, 12, 20, 30})
        for (const ReplicaRange tree : map.groups(group)) check_plans(map, tree, 1);
}

TEST(ExchangePlan, NodesExchangeThroughOneRankEach) {
    for (int ranks = 1; ranks <= 24; ++ranks)
        for (int size = 1; size <= ranks; ++size)
            for (const int replicas : {ranks, 2 * ranks + 1})
                for (const int direct : {1, 8})
                    check_plans(ReplicaMap(replicas, ranks), {0, replicas}, direct,
                                nodes_of_size(ranks, size));
}

TEST(ExchangePlan, NodesMayDifferInSize) {
    const std::vector<std::vector<int>> nodes{{0}, {1, 2, 3, 4}, {5, 6}, {7}, {8, 9, 10}};
    for (const int replicas : {11, 12, 16, 24, 40})
        for (const int direct : {1, 2, 8})
            check_plans(ReplicaMap(replicas, 11), {0, replicas}, direct, nodes);
}

TEST(ExchangePlan, GroupsMayEndWithinANode) {
    const ReplicaMap map(60, 17);
    for (const int size : {2, 3, 5, 16})
        for (const int group : {2, 3, 12, 20, 30})
            for (const ReplicaRange tree : map.groups(group))
                check_plans(map, tree, 1, nodes_of_size(17, size));
}

TEST(ExchangePlan, RanksOfANodeThatAreNoNeighboursAreNodesOfTheirOwn) {
    EXPECT_EQ(check_plans(ReplicaMap(6, 6), {0, 6}, 8, {{0, 2, 4}, {1, 3, 5}}), 5U);
}

TEST(ExchangePlan, OneRankOfANodeSendsToOthers) {
    const Sent sent = sent_between_nodes(ReplicaMap(64, 64), nodes_of_size(64, 4));
    EXPECT_EQ(sent.by_senders, 8U);  // 16 nodes: 7, and 1
    EXPECT_EQ(sent.by_others, 0U);
    EXPECT_EQ(sent_between_nodes(ReplicaMap(64, 64), nodes_of_size(64, 64)).by_senders, 0U);
    EXPECT_EQ(sent_between_nodes(ReplicaMap(500, 500), nodes_of_size(500, 2)).by_senders,
              16U);  // of 250 nodes 128 take part: 7 + 7 + 1, and 1 for a partner
}

TEST(ExchangePlan, MessagesGrowWithTheLogarithmOfTheRanks) {
    EXPECT_EQ(check_plans(ReplicaMap(8, 8), {0, 8}, 8), 7U);
    EXPECT_EQ(check_plans(ReplicaMap(64, 64), {0, 64}, 8), 14U);
    EXPECT_EQ(check_plans(ReplicaMap(512, 512), {0, 512}, 8), 21U);
    EXPECT_EQ(check_plans(ReplicaMap(500, 500), {0, 500}, 8),
              18U);  // 256 take part: 3 + 7 + 7, and 1 for a partner
}

}  // namespace
}  // namespace lockstep
