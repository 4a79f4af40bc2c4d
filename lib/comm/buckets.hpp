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

/// Of `values` values, from the end to the beginning, each for `lanes` ranks to send a part of: large enough that the
/// bytes and not the latency count, small enough that a network has several.
template <class Scalar>
std::vector<Bucket> buckets_of(Index values, Index lanes) {
    constexpr Index lane_values = 256 * 1024 / static_cast<Index>(sizeof(Scalar));
    std::vector<Bucket> buckets;
    for (Index end = values; end > 0; end = buckets.back().begin)
        buckets.push_back({std::max(Index{0}, end - lanes * lane_values), end});
    return buckets;
}

}  // namespace lockstep
