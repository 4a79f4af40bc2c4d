/// The one binary tree over replica indexes along which every sum over replicas is taken.
///
/// tree(lo, hi) is a leaf if hi − lo = 1, else tree(lo, mid) ⊕ tree(mid, hi) with mid = lo + (hi − lo)/2.
/// Whoever combines nodes along this tree gets the same bits, however the leaves are spread over ranks.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/comm/replica_map.hpp>

#include <span>
#include <vector>

namespace lockstep {

/// The fewest nodes of tree(range) that tile what `block` has in common with it, from left to right.
LOCKSTEP_EXPORT std::vector<ReplicaRange> tree_cover(ReplicaRange tree, ReplicaRange block);

/// The covers of all ranks, one after the other: together they tile tree(0, R).
LOCKSTEP_EXPORT std::vector<ReplicaRange> all_covers(const ReplicaMap& map);

/// How to combine neighbouring tree nodes that arrive from left to right: as a stack.
///
/// Node i goes to slot(i) of the stack; then merges_after(i) times the two topmost entries are siblings and
/// become their parent (left ⊕ right, in the left one's slot). What remains at the end is the cover of the
/// nodes: the root alone if they tile the whole tree.
class LOCKSTEP_EXPORT FoldPlan {
  public:
    /// `nodes` are neighbouring nodes of tree(range), from left to right.
    FoldPlan(ReplicaRange tree, std::vector<ReplicaRange> nodes);

    /// The plan that folds the single replicas of `block` that belong to the tree.
    static FoldPlan of_leaves(ReplicaRange tree, ReplicaRange block);

    int nodes() const { return static_cast<int>(nodes_.size()); }
    int slot(int node) const { return slots_[static_cast<std::size_t>(node)]; }
    int merges_after(int node) const { return merges_[static_cast<std::size_t>(node)]; }
    /// The most slots in use at any time.
    int slots() const { return most_slots_; }
    /// The slots in use at the end.
    int remaining() const { return remaining_; }

  private:
    void visit(ReplicaRange node);

    std::vector<ReplicaRange> nodes_;
    std::vector<int> slots_;
    std::vector<int> merges_;
    std::size_t next_ = 0;
    int most_slots_ = 0;
    int remaining_ = 0;
};

}  // namespace lockstep
