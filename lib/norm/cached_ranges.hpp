/// Two kernels that take turns on as many channels as a cache holds.
#pragma once

#include <lockstep/norm/kernels.hpp>

#include <algorithm>

namespace lockstep {

/// Calls run(range, team) for one range of channels after the other, or for several at a time on the team's threads:
/// as many channels at a time as channels_in_cache says, each range on a thread of its own; all of them at once with
/// the whole team.
template <class Run>
void for_cached_ranges(KernelTeam& team, Index channels, const BatchShape& shape, std::size_t value_bytes,
                       Run run) {
    const Index size = channels_in_cache(channels, shape, value_bytes);
    if (size == channels) return run(ChannelRange{0, channels}, &team);
    auto one = [&](int i) {
        const Index begin = i * size;
        run(ChannelRange{begin, std::min(begin + size, channels)}, nullptr);
    };
    const int ranges = static_cast<int>((channels + size - 1) / size);
    if (!team.is_alone()) return team.executor()->run(ranges, ExecutorTask::of(one));
    for (int i = 0; i < ranges; ++i) one(i);
}

}  // namespace lockstep
