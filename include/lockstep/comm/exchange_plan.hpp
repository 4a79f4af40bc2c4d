/// Who sends what to whom so that every rank gets to finish the fixed tree: few ranks at once, many in
/// stages.
///
/// Ranks that share a tree and live on several nodes first give their covers to one rank of their node, its sender. The
/// senders exchange, each for its node's stretch of the tree, and give the result to their mates. Of what follows,
/// "ranks" are then the senders; if all live on one node they are all of them.
///
/// Up to `direct_ranks` ranks all send their cover to all: one hop. More ranks go through stages of a
/// mixed-radix butterfly. Ranks of a stage stand for neighbouring stretches of ranks; up to eight of them
/// swap the covers of their stretches, and each then has the cover of all eight. So P ranks need about log₈ P
/// hops of seven messages each, and because only neighbours are ever joined, the tree is the same and so are
/// the bits. Where the number of ranks is no power of two, the first few join in pairs, of which one takes
/// part and passes the result on.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/comm/nodes.hpp>
#include <lockstep/comm/replica_map.hpp>

#include <vector>

namespace lockstep {

/// Up to so many ranks one hop is faster than two.
inline constexpr int default_direct_ranks = 8;

/// One stretch of the tree that a stage joins, as the nodes of its cover.
struct ExchangePart {
    int rank;  ///< who brings it; the planning rank itself for its own
    std::vector<ReplicaRange> nodes;
};

struct ExchangeStage {
    /// Alike on those that send and those that receive in it; rising, but with gaps on ranks that sit stages
    /// out.
    int number;
    /// The ranks that get this rank's cover, as it is at the beginning of the stage.
    std::vector<int> send_to;
    /// Neighbouring parts, from left to right, that are joined in this stage; this rank's own is among them.
    /// A rank that only receives the result has but the one part of whoever sends it.
    std::vector<ExchangePart> parts;
};

/// The stages of one rank, which hosts a replica of the tree. At the end it has the root. Each rank is a node of its
/// own if there are no `nodes`, or if the ranks are not numbered node by node.
LOCKSTEP_EXPORT std::vector<ExchangeStage> plan_exchange(const ReplicaMap& map, ReplicaRange tree, int rank,
                                                         int direct_ranks = default_direct_ranks,
                                                         const Nodes* nodes = nullptr);

}  // namespace lockstep
