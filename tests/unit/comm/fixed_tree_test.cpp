// However replicas are spread over ranks, sums follow one tree: checked symbolically, by the formula that is
// evaluated.
#include <lockstep/base/error.hpp>
#include <lockstep/comm/fixed_tree.hpp>

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace lockstep {
namespace {

// (Not "(" + left + …: GCC 12 warns of overlapping copies that are none.)
std::string sum_of(const std::string& left, const std::string& right) {
    std::string text = "(";
    return text.append(left).append("+").append(right).append(")");
}

/// The definition: "(left+right)" all the way down.
std::string formula(ReplicaRange node) {
    if (node.size() == 1) return std::to_string(node.begin);
    const int middle = node.begin + node.size() / 2;
    return sum_of(formula({node.begin, middle}), formula({middle, node.end}));
}

/// What a fold over `values` (one for each node of the plan) computes; the entries that remain at the end.
std::vector<std::string> fold(const FoldPlan& plan, const std::vector<std::string>& values) {
    std::vector<std::string> stack(static_cast<std::size_t>(plan.slots()));
    bool root = false;
    plan.fold(
        stack.data(), [&](int i) { return values.at(static_cast<std::size_t>(i)); },
        [&](const std::string& left, const std::string& right, FoldPlace place) {
            EXPECT_FALSE(root) << "the root is the last sum of all";
            root = place.root;
            EXPECT_EQ(left, stack.at(static_cast<std::size_t>(place.slot)));
            return sum_of(left, right);
        });
    EXPECT_EQ(root, plan.remaining() == 1 && plan.nodes() > 1);
    stack.resize(static_cast<std::size_t>(plan.remaining()));
    return stack;
}

std::vector<std::string> fold_leaves(ReplicaRange tree, ReplicaRange block) {
    std::vector<std::string> leaves;
    const ReplicaRange mine = intersection(tree, block);
    for (int replica = mine.begin; replica < mine.end; ++replica) leaves.push_back(std::to_string(replica));
    return fold(FoldPlan::of_leaves(tree, block), leaves);
}

/// Folds each rank's leaves, then all that remains: as the exchanges do.
std::string fold_on_ranks(ReplicaRange tree, const ReplicaMap& map) {
    std::vector<ReplicaRange> nodes;
    std::vector<std::string> values;
    for (int rank = 0; rank < map.ranks(); ++rank) {
        const auto cover = tree_cover(tree, map.block(rank));
        const auto folded = fold_leaves(tree, map.block(rank));
        EXPECT_EQ(folded.size(), cover.size());
        nodes.insert(nodes.end(), cover.begin(), cover.end());
        values.insert(values.end(), folded.begin(), folded.end());
    }
    const auto result = fold(FoldPlan(tree, nodes), values);
    EXPECT_EQ(result.size(), 1u);
    return result.front();
}

TEST(FixedTree, EverySpreadOverRanksEvaluatesTheSameFormula) {
    for (int replicas = 1; replicas <= 33; ++replicas)
        for (int ranks = 1; ranks <= replicas; ++ranks)
            ASSERT_EQ(fold_on_ranks({0, replicas}, ReplicaMap(replicas, ranks)), formula({0, replicas}))
                << replicas << " replicas on " << ranks << " ranks";
}

TEST(FixedTree, GroupsOfReplicasHaveTreesOfTheirOwn) {
    for (int replicas = 2; replicas <= 24; ++replicas)
        for (int group = 1; group <= replicas; ++group) {
            if (replicas % group != 0) continue;
            for (int ranks = 1; ranks <= replicas; ++ranks) {
                const ReplicaMap map(replicas, ranks);
                for (const ReplicaRange tree : map.groups(group))
                    ASSERT_EQ(fold_on_ranks(tree, map), formula(tree))
                        << replicas << " replicas in groups of " << group << " on " << ranks << " ranks";
            }
        }
}

TEST(FixedTree, CoverIsTheFewestNodesThatTileTheBlock) {
    for (int replicas = 1; replicas <= 33; ++replicas)
        for (int begin = 0; begin < replicas; ++begin)
            for (int end = begin + 1; end <= replicas; ++end) {
                const auto cover = tree_cover({0, replicas}, {begin, end});
                int next = begin;
                for (const ReplicaRange node : cover) {
                    ASSERT_EQ(node.begin, next);
                    next = node.end;
                }
                ASSERT_EQ(next, end);
                // No two neighbours are siblings: folding the cover merges nothing.
                ASSERT_EQ(FoldPlan({0, replicas}, cover).remaining(), static_cast<int>(cover.size()));
            }
    EXPECT_TRUE(tree_cover({0, 4}, {4, 8}).empty());
}

TEST(FixedTree, StackStaysSmall) {
    // In place means little memory: a fold of 1,024 leaves needs 11 slots, not 1,024.
    EXPECT_LE(FoldPlan::of_leaves({0, 1024}, {0, 1024}).slots(), 11);
}

TEST(FixedTree, NodesThatAreNotOfTheTreeAreRefused) {
    EXPECT_THROW(FoldPlan({0, 4}, {{1, 3}}), Error);
    EXPECT_THROW(FoldPlan({0, 4}, {{0, 1}, {2, 4}}), Error);
}

}  // namespace
}  // namespace lockstep
