/// Who sends which slice of a long array to whom so that all parties get its sum along the fixed tree.
///
/// Parties stand for neighbouring stretches of replicas, from left to right; each brings the cover of its stretch. The
/// sum goes up in levels: in each of them neighbouring stretches are joined, whose parties share out the work on the
/// array among them: a party keeps a slice of what it had so far, and sends the rest to those who keep that. Because only
/// neighbours are joined, the tree is the fixed one. Then the levels go down again, and each party sends what it has of
/// the result to those that it had the parts from.
///   few parties   one level: everyone with everyone, each keeps 1/N. 2·(N−1) messages a party, two hops.
///   many parties  stretches of up to `base` parties so, which are then joined in pairs of halves (recursive halving:
///                 R. Rabenseifner, "Optimization of collective reduction operations", 2004): at most 4 messages a
///                 party and level. Halves may differ by one party: where the slices of the left half, a of them, and
///                 of the right one, a or a − 1, are dealt out in turns, each new slice lies within an old one of the
///                 same party.
/// Where every cover is one node, a party sends 2·(N−1)/N of the array in all, which is the least that any all-reduce can
/// do; more nodes are more bytes on the way up.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/base/shape.hpp>
#include <lockstep/comm/replica_map.hpp>

#include <span>
#include <vector>

namespace lockstep {

/// Values begin … end − 1 of the array.
struct ArraySlice {
    Index begin = 0;
    Index end = 0;

    Index size() const { return end - begin; }
    bool empty() const { return begin >= end; }

    friend bool operator==(ArraySlice, ArraySlice) = default;
};

/// A message from or to a party.
struct SliceMessage {
    int party;
    ArraySlice slice;
};

/// One of the neighbouring stretches that a level joins.
struct SumPart {
    std::vector<ReplicaRange> nodes;  ///< its cover
    /// What comes of it, which together makes the level's `after`; empty for the planning party's own.
    std::vector<SliceMessage> receive;
};

struct SumLevel {
    ArraySlice before,
        after;  ///< what the party has of its stretch's array, and what it keeps of the joined one's
    std::vector<SumPart> parts;      ///< from left to right
    std::size_t own = 0;             ///< which of them is the party's own
    std::vector<SliceMessage> send;  ///< of the own part's nodes
    /// Whether, on the way down, the results go back to those that the parts came from; if not all have it all already.
    bool returns = true;
};

/// `everything` sends all to all, in one hop: for short arrays.
enum class SumForm { everything, slices };

struct SumPlanOptions {
    SumForm form = SumForm::slices;
    int flat = 8;  ///< up to so many parties are joined in one level
    int base = 4;  ///< of more, so many at first
};

/// The levels of party `me`, upwards. `parties` are neighbouring, together the whole tree. Slices begin on multiples of
/// `alignment` values.
LOCKSTEP_EXPORT std::vector<SumLevel> plan_sum(std::span<const ReplicaRange> parties, int me, Index count,
                                               Index alignment, const SumPlanOptions& options = {});

}  // namespace lockstep
