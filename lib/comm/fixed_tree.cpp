#include <lockstep/comm/fixed_tree.hpp>

#include <lockstep/base/error.hpp>

#include <algorithm>
#include <utility>

namespace lockstep {
namespace {

int middle(ReplicaRange node) {
    return node.begin + node.size() / 2;
}

void append_cover(ReplicaRange node, ReplicaRange block, std::vector<ReplicaRange>& cover) {
    if (intersection(node, block).empty()) return;
    if (block.contains(node)) {
        cover.push_back(node);
        return;
    }
    append_cover({node.begin, middle(node)}, block, cover);
    append_cover({middle(node), node.end}, block, cover);
}

}  // namespace

std::vector<ReplicaRange> tree_cover(ReplicaRange tree, ReplicaRange block) {
    std::vector<ReplicaRange> cover;
    append_cover(tree, block, cover);
    return cover;
}

std::vector<ReplicaRange> all_covers(const ReplicaMap& map) {
    std::vector<ReplicaRange> nodes;
    for (int rank = 0; rank < map.ranks(); ++rank)
        for (const ReplicaRange node : tree_cover(map.all(), map.block(rank))) nodes.push_back(node);
    return nodes;
}

FoldPlan::FoldPlan(ReplicaRange tree, std::vector<ReplicaRange> nodes) : nodes_(std::move(nodes)) {
    slots_.reserve(nodes_.size());
    merges_.reserve(nodes_.size());
    if (!nodes_.empty()) visit(tree);
    if (next_ != nodes_.size()) throw Error("fold plan: the nodes are not neighbouring nodes of the tree");
}

FoldPlan FoldPlan::of_leaves(ReplicaRange tree, ReplicaRange block) {
    const ReplicaRange mine = intersection(tree, block);
    std::vector<ReplicaRange> leaves;
    for (int replica = mine.begin; replica < mine.end; ++replica) leaves.push_back({replica, replica + 1});
    return {tree, std::move(leaves)};
}

void FoldPlan::visit(ReplicaRange node) {
    const ReplicaRange covered{nodes_.front().begin, nodes_.back().end};
    if (intersection(node, covered).empty()) return;
    if (next_ < nodes_.size() && nodes_[next_] == node) {
        ++next_;
        slots_.push_back(remaining_++);
        merges_.push_back(0);
        most_slots_ = std::max(most_slots_, remaining_);
        return;
    }
    if (node.size() == 1) throw Error("fold plan: the nodes are not neighbouring nodes of the tree");
    visit({node.begin, middle(node)});
    visit({middle(node), node.end});
    if (covered.contains(node)) {
        ++merges_.back();
        --remaining_;
    }
}

}  // namespace lockstep
