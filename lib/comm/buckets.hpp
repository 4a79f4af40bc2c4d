/// The pieces in which a long array that is completed from its end goes on its way.
#pragma once

#include <lockstep/base/shape.hpp>

#include <algorithm>
#include <vector>

namespace lockstep {

/// Values begin … end − 1.
struct Bucket {
    Index begin;
    Index end;
};

/// What a rank sends a part of at once, at most: large enough that the bytes and not the latency count, small enough that a
/// network has several under way.
inline constexpr Index lane_bytes = Index{240} * 1024;

/// The same between so many nodes, so that no message is longer than 60 KiB where every cover is one node of the tree: Open
/// MPI's TCP sends up to 64 KiB at once, headers included; for more the two sides have to meet first, which makes three
/// hops of one.
inline Index lane_bytes_between(int nodes) {
    constexpr Index at_once = lane_bytes / 4;
    return nodes == 2 ? at_once : std::min(lane_bytes, nodes * at_once);  // two nodes send all they have
}

/// Of `values` values, from the end to the beginning, each for `lanes` ranks to send a part of.
template <class Scalar>
std::vector<Bucket> buckets_of(Index values, Index lanes, Index bytes = lane_bytes) {
    const Index lane_values = bytes / static_cast<Index>(sizeof(Scalar));
    std::vector<Bucket> buckets;
    for (Index end = values; end > 0; end = buckets.back().begin)
        buckets.push_back({std::max(Index{0}, end - lanes * lane_values), end});
    return buckets;
}

}  // namespace lockstep
