// Replicas live in contiguous blocks whose sizes differ by at most one, whatever their number and that of the
// ranks.
#include <lockstep/base/error.hpp>
#include <lockstep/comm/replica_map.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace lockstep {
namespace {

TEST(ReplicaMap, TilesAllReplicasWithBlocksThatDifferByAtMostOne) {
    for (int replicas = 1; replicas <= 33; ++replicas)
        for (int ranks = 1; ranks <= replicas; ++ranks) {
            const ReplicaMap map(replicas, ranks);
            int next = 0, smallest = replicas, largest = 0;
            for (int rank = 0; rank < ranks; ++rank) {
                const ReplicaRange block = map.block(rank);
                ASSERT_EQ(block.begin, next) << replicas << " on " << ranks;
                next = block.end;
                smallest = std::min(smallest, block.size());
                largest = std::max(largest, block.size());
            }
            ASSERT_EQ(next, replicas);
            ASSERT_GE(smallest, 1);
            ASSERT_LE(largest - smallest, 1) << replicas << " on " << ranks;
        }
}

TEST(ReplicaMap, RankOfIsTheRankWhoseBlockHoldsTheReplica) {
    for (int replicas = 1; replicas <= 33; ++replicas)
        for (int ranks = 1; ranks <= replicas; ++ranks) {
            const ReplicaMap map(replicas, ranks);
            for (int replica = 0; replica < replicas; ++replica) {
                const int rank = map.rank_of(replica);
                ASSERT_GE(rank, 0);
                ASSERT_LT(rank, ranks);
                ASSERT_TRUE(map.block(rank).contains({replica, replica + 1}))
                    << replica << " of " << replicas << " on " << ranks;
            }
        }
}

TEST(ReplicaMap, DoesNotOverflowWhereProductsExceedAnInt) {
    const ReplicaMap map(2'000'000, 100'000);
    EXPECT_EQ(map.block(99'999).end, 2'000'000);
    EXPECT_EQ(map.rank_of(1'999'999), 99'999);
}

TEST(ReplicaMap, RefusesFewerReplicasThanRanksAndSaysBothNumbers) {
    try {
        ReplicaMap(3, 4);
        FAIL() << "3 replicas were spread over 4 ranks";
    } catch (const UsageError& error) {
        EXPECT_NE(std::string(error.what()).find("3 replicas"), std::string::npos) << error.what();
        EXPECT_NE(std::string(error.what()).find("4 ranks"), std::string::npos) << error.what();
    }
    EXPECT_THROW(ReplicaMap(0, 0), UsageError);
}

TEST(ReplicaMap, GroupsAreNeighboursAndMustDivideTheReplicas) {
    const ReplicaMap map(6, 4);
    EXPECT_EQ(map.groups(2), (std::vector<ReplicaRange>{{0, 2}, {2, 4}, {4, 6}}));
    EXPECT_EQ(map.groups(6), (std::vector<ReplicaRange>{{0, 6}}));
    for (const int group : {-1, 0, 4, 5, 7}) EXPECT_THROW(map.groups(group), UsageError) << group;
}

}  // namespace
}  // namespace lockstep
