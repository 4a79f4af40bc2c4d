#include <lockstep/comm/replica_map.hpp>

#include <lockstep/base/error.hpp>

#include <string>

namespace lockstep {

ReplicaMap::ReplicaMap(int replicas, int ranks) : replicas_(replicas), ranks_(ranks) {
    if (ranks < 1) throw UsageError("a replica map needs at least one rank");
    if (replicas < ranks)
        throw UsageError(std::to_string(replicas) + " replicas cannot be spread over " +
                         std::to_string(ranks) + " ranks: start at most " + std::to_string(replicas) +
                         " ranks, or ask for at least " + std::to_string(ranks) + " replicas");
}

ReplicaRange ReplicaMap::block(int rank) const {
    const auto boundary = [this](long long r) { return static_cast<int>(r * replicas_ / ranks_); };
    return {boundary(rank), boundary(rank + 1)};
}

int ReplicaMap::rank_of(int replica) const {
    // The last rank whose block begins at or before the replica.
    return static_cast<int>(((replica + 1LL) * ranks_ - 1) / replicas_);
}

std::vector<ReplicaRange> ReplicaMap::groups(int group) const {
    if (group < 1 || group > replicas_ || replicas_ % group != 0)
        throw UsageError("groups of " + std::to_string(group) + " replicas do not tile " +
                         std::to_string(replicas_) + " replicas: choose a group size that divides " +
                         std::to_string(replicas_));
    std::vector<ReplicaRange> result;
    for (int begin = 0; begin < replicas_; begin += group) result.push_back({begin, begin + group});
    return result;
}

}  // namespace lockstep
