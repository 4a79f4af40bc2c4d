/// Over which replicas a layer's statistics are taken, and the exchanges that take them: as far as they live on the
/// calling rank.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/comm/communicator.hpp>
#include <lockstep/comm/replica_map.hpp>
#include <lockstep/comm/tree_exchange.hpp>
#include <lockstep/norm/batch_norm_types.hpp>

#include <memory>
#include <vector>

namespace lockstep {

/// One statistics group.
struct StatisticsGroup {
    ReplicaRange hosted;  ///< of its replicas those of this rank, counted from the rank's first
    std::unique_ptr<TreeExchange> moments;  ///< of forward: 1 + 2·channels doubles, see moments.hpp
    std::unique_ptr<TreeExchange> sums;     ///< of backward: 2·channels doubles

    /// One replica, with nobody to exchange with.
    bool is_alone() const { return hosted.size() == 1 && !moments->crosses_ranks(); }
};

class LOCKSTEP_EXPORT StatisticsGroups {
  public:
    /// Collective at the first time for a communicator (see share_exchange_memory): whoever makes it has seen to it
    /// that all ranks ask for the same. Throws UsageError if the placement does not fit the communicator.
    StatisticsGroups(const Communicator& communicator, const ReplicaPlacement& placement, Index channels);

    /// How many replicas live on this rank.
    int hosted_replicas() const { return hosted_replicas_; }
    /// How many groups this rank takes part in.
    int size() const { return static_cast<int>(groups_.size()); }
    /// Whether there is one group of all replicas.
    bool are_global() const { return global_; }

    const StatisticsGroup& operator[](int group) const { return groups_[static_cast<std::size_t>(group)]; }
    auto begin() const { return groups_.begin(); }
    auto end() const { return groups_.end(); }

  private:
    int hosted_replicas_ = 0;
    bool global_ = false;
    std::vector<StatisticsGroup> groups_;
};

}  // namespace lockstep
