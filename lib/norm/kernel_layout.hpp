/// How the kernels cut a tensor into rows of full vectors. Depends on the shape alone, never on the
/// instruction set: the order of every sum follows from it.
#pragma once

#include <lockstep/norm/kernels.hpp>

namespace lockstep::LOCKSTEP_SET {

/// Values that every vector width divides.
constexpr int lane_group = 16;
/// Columns whose accumulators and coefficients stay in the innermost cache.
constexpr Index widest_tile = 2048;
/// Rows that are shorter are joined, so that enough independent sums are under way.
constexpr Index narrowest_row = 64;

/// Rows from this many columns on are far apart.
constexpr Index wide = 512;

constexpr Index smaller(Index a, Index b) {
    return a < b ? a : b;
}

/// Channels-last data is a matrix of rows of `channels` columns. A number of channels that vectors do not
/// divide is made to fit: `repeat` rows are taken as one of repeat·channels columns, each of them with
/// coefficients or sums of its own. 1 where that is not needed, or the row would become longer than `widest`.
inline Index rows_to_join(Index channels, ChannelRange range, Index widest) {
    if (range.begin != 0 || range.end != channels) return 1;
    Index repeat = 1;
    while (repeat * channels % lane_group != 0) repeat *= 2;
    while (repeat * channels < narrowest_row) repeat *= 2;
    return repeat * channels <= widest ? repeat : 1;
}

/// Coefficients of consecutive columns: one array for each that a Map or Terms works with.
template <class Work, class Scalar>
struct Columns {
    const Scalar* array[Work::arrays];

    Columns at(Index column) const {
        Columns moved;
        for (int a = 0; a < Work::arrays; ++a) moved.array[a] = array[a] + column;
        return moved;
    }
};

/// Writes target[i] = source[(first + i) mod period], for i < count.
template <class Scalar>
inline void repeat_into(Scalar* target, const Scalar* source, Index first, Index period, Index count) {
    Index from = first % period;
    for (Index i = 0; i < count;) {
        const Index run = smaller(period - from, count - i);
        for (Index j = 0; j < run; ++j) target[i + j] = source[from + j];
        i += run;
        from = 0;
    }
}

/// Channels-first with one value per run is channels-last.
inline bool is_channels_last(const BatchShape& shape) {
    return shape.order == ChannelOrder::last || shape.spatial == 1;
}

}  // namespace lockstep::LOCKSTEP_SET
