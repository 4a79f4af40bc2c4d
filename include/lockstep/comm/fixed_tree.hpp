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

/// Which sum of a fold it is that is being taken.
struct FoldPlace {
    int slot;   ///< of the stack
    bool root;  ///< the last one, where it leaves a single node
};

/// How to combine neighbouring tree nodes that arrive from left to right: as a stack.
///
/// Node i goes to slot(i) of the stack; then, as long as the two topmost entries are siblings, they become their
/// parent (left ⊕ right, in the left one's slot). What remains at the end, in the first slots, is the cover
/// of the nodes: the root alone if they tile the whole tree.
class LOCKSTEP_EXPORT FoldPlan {
  public:
    /// `nodes` are neighbouring nodes of tree(range), from left to right.
    FoldPlan(ReplicaRange tree, std::vector<ReplicaRange> nodes);

    /// The plan that folds the single replicas of `block` that belong to the tree.
    static FoldPlan of_leaves(ReplicaRange tree, ReplicaRange block);

    int nodes() const { return static_cast<int>(nodes_.size()); }
    int slot(int node) const { return slots_[static_cast<std::size_t>(node)]; }
    /// The most slots in use at any time.
    int slots() const { return most_slots_; }
    /// The slots in use at the end.
    int remaining() const { return remaining_; }

    /// Node i is in its slot: calls merge(left, right) for each pair of slots that now becomes a parent, which
    /// goes to slot `left`. For entries that lie in the slots themselves.
    template <class Merge>
    void push(int node, Merge&& merge) const {
        int right = slot(node);
        for (int merges = merges_[static_cast<std::size_t>(node)]; merges > 0; --merges, --right)
            merge(right - 1, right);
    }

    /// The whole fold over entries that are handles of values elsewhere. `stack` has slots() entries; entry
    /// operand(i) is pushed for node i, and what `merge(left, right, into)` returns takes the place of both.
    /// `into` says which sum this is: its slot, and whether it is the root, which may be wanted elsewhere.
    template <class Entry, class Operand, class Merge>
    void fold(Entry* stack, Operand&& operand, Merge&& merge) const {
        for (int i = 0; i < nodes(); ++i) {
            stack[slot(i)] = operand(i);
            push(i, [&](int left, int right) {
                const bool root = left == 0 && i + 1 == nodes() && remaining_ == 1;
                stack[left] = merge(stack[left], stack[right], FoldPlace{left, root});
            });
        }
    }

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
