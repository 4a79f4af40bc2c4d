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

using Nodes = std::vector<ReplicaRange>;

/// What remains of neighbouring nodes when siblings are joined.
Nodes joined(ReplicaRange tree, const Nodes& nodes) {
    return tree_cover(tree, {nodes.front().begin, nodes.back().end});
}

Nodes all_nodes(const ExchangeStage& stage) {
    Nodes nodes;
    for (const ExchangePart& part : stage.parts)
        nodes.insert(nodes.end(), part.nodes.begin(), part.nodes.end());
    return nodes;
}

/// Checks the plans of all ranks that host a part of the tree; returns the most messages that one rank sends.
std::size_t check_plans(const ReplicaMap& map, ReplicaRange tree, int direct_ranks) {
    std::map<int, std::vector<ExchangeStage>> plans;
    for (int rank = map.rank_of(tree.begin); rank <= map.rank_of(tree.end - 1); ++rank)
        plans[rank] = plan_exchange(map, tree, rank, direct_ranks);

    std::size_t most = 0;
    for (const auto& [rank, stages] : plans) {
        std::size_t sent = 0;
        Nodes have = tree_cover(tree, map.block(rank));
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
        EXPECT_EQ(have, Nodes{tree}) << "rank " << rank << " of " << map.ranks() << " ends without the root";
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

TEST(ExchangePlan, MessagesGrowWithTheLogarithmOfTheRanks) {
    EXPECT_EQ(check_plans(ReplicaMap(8, 8), {0, 8}, 8), 7U);
    EXPECT_EQ(check_plans(ReplicaMap(64, 64), {0, 64}, 8), 14U);
    EXPECT_EQ(check_plans(ReplicaMap(512, 512), {0, 512}, 8), 21U);
    EXPECT_EQ(check_plans(ReplicaMap(500, 500), {0, 500}, 8),
              18U);  // 256 take part: 3 + 7 + 7, and 1 for a partner
}

}  // namespace
}  // namespace lockstep
