/// Which replica lives on which rank: contiguous blocks whose sizes differ by at most one.
#pragma once

#include <lockstep/base/export.hpp>

#include <vector>

namespace lockstep {

/// The replicas begin … end − 1.
struct ReplicaRange {
    int begin = 0;
    int end = 0;

    int size() const { return end - begin; }
    bool empty() const { return begin >= end; }
    bool contains(ReplicaRange other) const { return begin <= other.begin && other.end <= end; }

    friend bool operator==(ReplicaRange, ReplicaRange) = default;
};

/// What two ranges have in common.
inline ReplicaRange intersection(ReplicaRange a, ReplicaRange b) {
    return {a.begin > b.begin ? a.begin : b.begin, a.end < b.end ? a.end : b.end};
}

/// R replicas on P ranks. Every rank hosts at least one.
class LOCKSTEP_EXPORT ReplicaMap {
  public:
    /// Throws UsageError where there are fewer replicas than ranks.
    ReplicaMap(int replicas, int ranks);

    int replicas() const { return replicas_; }
    int ranks() const { return ranks_; }
    ReplicaRange all() const { return {0, replicas_}; }
    /// The replicas that live on a rank.
    ReplicaRange block(int rank) const;
    /// The rank on which a replica lives.
    int rank_of(int replica) const;

    /// The neighbourhoods of `group` replicas each. Throws UsageError where `group` does not divide R.
    std::vector<ReplicaRange> groups(int group) const;

  private:
    int replicas_;
    int ranks_;
};

}  // namespace lockstep
