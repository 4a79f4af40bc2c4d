#include <lockstep/norm/statistics_groups.hpp>

#include <lockstep/norm/moments.hpp>

namespace lockstep {

StatisticsGroups::StatisticsGroups(const Communicator& communicator, const ReplicaPlacement& placement,
                                   Index channels) {
    share_exchange_memory(communicator);
    const ReplicaMap map(placement.replicas.value_or(communicator.size()), communicator.size());
    const ReplicaRange hosted = map.block(communicator.rank());
    const int replicas_of_group = placement.group.value_or(map.replicas());
    const auto moments = static_cast<std::size_t>(moments_size(channels));
    const auto sums = 2 * static_cast<std::size_t>(channels);
    const auto merge = [channels](double* left, const double* right) {
        merge_moments(left, right, channels);
    };
    for (const ReplicaRange range : map.groups(replicas_of_group)) {
        const ReplicaRange here = intersection(range, hosted);
        if (here.empty()) continue;
        groups_.push_back({{here.begin - hosted.begin, here.end - hosted.begin},
                           std::make_unique<TreeExchange>(communicator, map, range, moments, merge),
                           std::make_unique<TreeExchange>(communicator, map, range, sums, sum_merge(sums))});
    }
    hosted_replicas_ = hosted.size();
    global_ = replicas_of_group == map.replicas();
}

}  // namespace lockstep
