/// The nodes that the ranks of a communicator live on: those share a node that have proved to each other that they can
/// share memory (see NodeMemory).
///
/// Nothing is believed of host names or process numbers, which coincide between containers: each rank maps memory of
/// every rank that may be its neighbour and looks for that one's mark. Ranks whose findings do not fit together are
/// each a node of their own.
///
/// The environment variable LOCKSTEP_RANKS_PER_NODE, alike on all ranks, makes every so many of a node's ranks a node:
/// many nodes on one machine, for tests.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/comm/communicator.hpp>

#include <memory>
#include <vector>

namespace lockstep {

/// Alike on all ranks of the communicator, but for whose they are. Nodes count in the order of their first ranks.
class LOCKSTEP_EXPORT Nodes {
  public:
    /// `ranks[n]`: those of node n, ascending. `rank` is the calling one.
    Nodes(std::vector<std::vector<int>> ranks, int rank);

    int count() const { return static_cast<int>(ranks_.size()); }
    /// The calling rank's.
    int node() const { return node_; }
    const std::vector<int>& ranks_of(int node) const { return ranks_[static_cast<std::size_t>(node)]; }
    /// The ranks of the calling rank's node, itself among them: number index().
    const std::vector<int>& mates() const { return ranks_of(node_); }
    int index() const { return index_; }
    /// The most and the fewest ranks of any node.
    int largest() const;
    int smallest() const;
    /// Whether the ranks are numbered node by node.
    bool in_order() const;

  private:
    std::vector<std::vector<int>> ranks_;
    int node_ = 0;
    int index_ = 0;
};

/// Collective at the first call for a communicator, which it is remembered for. Throws CommunicationError on every rank
/// where LOCKSTEP_RANKS_PER_NODE differs, UsageError where it is no positive number, and CommunicationError after the
/// time-out.
LOCKSTEP_EXPORT std::shared_ptr<const Nodes> nodes_of(const Communicator& communicator);

/// The same ranks, numbered node by node; the given communicator where they are already. Errors go on naming the ranks
/// as that one does. Collective.
LOCKSTEP_EXPORT Communicator by_node(const Communicator& communicator);

}  // namespace lockstep
