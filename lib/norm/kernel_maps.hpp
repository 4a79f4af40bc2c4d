/// The elementwise halves of forward and backward: every value is read once more and the result written.
///
/// They work from the tensor's end to its beginning, in blocks: what the sums have read last is still in the
/// caches. Results that no cache holds are streamed past them.
#pragma once

#include "../simd/vector_pack.hpp"
#include "kernel_layout.hpp"
#include "kernel_tasks.hpp"

namespace lockstep::LOCKSTEP_SET {

/// From this size on a result does not stay in the caches anyway.
constexpr Index streamed_bytes = Index{8} << 20;
/// What is walked through forwards while the blocks go backwards.
constexpr Index block_bytes = Index{128} << 10;

/// z = (x − shift)·scale + offset, or 0 where that is negative.
template <class Scalar, Activation activation>
struct NormalizeMap {
    static constexpr int arrays = 3;
    const Scalar* x;
    Scalar* z;

    Scalar* output() const { return z; }
    bool in_place() const { return x == z; }
    NormalizeMap at(Index offset) const { return {x + offset, z + offset}; }

    template <int Lanes>
    Pack<Scalar, Lanes> result(Index offset, const Pack<Scalar, Lanes> (&k)[arrays]) const {
        const Pack<Scalar, Lanes> normalized = (load<Lanes>(x + offset) - k[0]) * k[1] + k[2];
        if constexpr (activation == Activation::relu) {
            return rectified<Lanes, Scalar>(normalized);
        } else {
            return normalized;
        }
    }
};

/// dx = gradient_scale·dz + input_scale·(x − shift) + offset.
template <class Scalar, Activation activation>
struct InputGradientMap {
    /// shift, gradient_scale, input_scale, offset; where dz is masked also the scale and offset of normalize.
    static constexpr int arrays = activation == Activation::relu ? 6 : 4;
    const Scalar* x;
    const Scalar* dz;
    Scalar* dx;

    Scalar* output() const { return dx; }
    bool in_place() const { return x == dx || dz == dx; }
    InputGradientMap at(Index offset) const { return {x + offset, dz + offset, dx + offset}; }

    template <int Lanes>
    Pack<Scalar, Lanes> result(Index offset, const Pack<Scalar, Lanes> (&k)[arrays]) const {
        Pack<Scalar, Lanes> gradient = load<Lanes>(dz + offset);
        const Pack<Scalar, Lanes> d = load<Lanes>(x + offset) - k[0];
        if constexpr (activation == Activation::relu)
            gradient = where_positive<Lanes, Scalar>(d * k[4] + k[5], gradient);
        return k[1] * gradient + k[2] * d + k[3];
    }
};

template <bool Streamed, class Scalar, class P>
inline __attribute__((always_inline)) void put(Scalar* to, const P& pack) {
    if constexpr (Streamed) {
        stream(to, pack);
    } else {
        store(to, pack);
    }
}

/// `rows` rows of Lanes columns. Of four rows all values are read before the first result is written: a
/// processor takes a read for one of what was just written where the addresses differ by a multiple of a
/// page, as those of rows often do.
template <int Lanes, bool Streamed, class Map, class Scalar>
inline __attribute__((always_inline)) void map_columns(const Map map, Index stride, Index rows,
                                                       const Columns<Map, Scalar>& columns) {
    Pack<Scalar, Lanes> k[Map::arrays];
    for (int a = 0; a < Map::arrays; ++a) k[a] = load<Lanes>(columns.array[a]);
    const auto result = [&](Index row) __attribute__((always_inline)) {
        return map.template result<Lanes>(row * stride, k);
    };
    Index row = 0;
    for (; row + 4 <= rows; row += 4) {
        const Pack<Scalar, Lanes> r0 = result(row), r1 = result(row + 1), r2 = result(row + 2),
                                  r3 = result(row + 3);
        Scalar* const to = map.output() + row * stride;
        put<Streamed>(to, r0);
        put<Streamed>(to + stride, r1);
        put<Streamed>(to + 2 * stride, r2);
        put<Streamed>(to + 3 * stride, r3);
    }
    for (; row < rows; ++row) put<Streamed>(map.output() + row * stride, result(row));
}

/// A matrix in blocks, from the last to the first; Together rows of a block at a time.
template <bool Streamed, Index Together, class Map, class Scalar>
inline void map_rows(const Map map, Index stride, Index rows, Index width,
                     const Columns<Map, Scalar>& columns) {
    const Index row_bytes = width * static_cast<Index>(sizeof(Scalar));
    const Index block = (block_bytes / row_bytes + Together) / Together * Together;
    for (Index blocks = (rows + block - 1) / block; blocks > 0; --blocks) {
        const Index end = smaller(blocks * block, rows);
        for (Index row = (blocks - 1) * block; row < end; row += Together) {
            const Map rows_here = map.at(row * stride);
            const Index count = smaller(Together, end - row);
            const auto full = [&]<int Lanes>(LaneCount<Lanes>, Index c) __attribute__((always_inline)) {
                map_columns<Lanes, Streamed>(rows_here.at(c), stride, Together, columns.at(c));
            };
            const auto rest = [&]<int Lanes>(LaneCount<Lanes>, Index c) __attribute__((always_inline)) {
                map_columns<Lanes, Streamed>(rows_here.at(c), stride, count, columns.at(c));
            };
            if (count == Together)
                for_parts<vector_lanes<Scalar>>(0, width, full);
            else
                for_parts<vector_lanes<Scalar>>(0, width, rest);
        }
    }
}

/// Several rows at a time share the loads of the coefficients and keep several streams from memory busy; but
/// short rows want to be one stream.
template <bool Streamed, class Map, class Scalar>
inline void map_matrix(const Map map, Index stride, Index rows, Index width,
                       const Columns<Map, Scalar>& columns) {
    if (width < wide)
        map_rows<Streamed, 1>(map, stride, rows, width, columns);
    else
        map_rows<Streamed, 4>(map, stride, rows, width, columns);
}

/// Channels-last data in the range's columns, seen as a flat array whose coefficients recur.
template <bool Streamed, class Map, class Scalar>
inline void map_flat(const Map map, Index channels, Index rows, const Columns<Map, Scalar>& columns,
                     Index repeat, Index begin) {
    const Index values = rows * channels, period = repeat * channels;
    const Index full = (values - begin) / period, end = begin + full * period;
    alignas(64) Scalar local[Map::arrays][widest_tile];
    Columns<Map, Scalar> tile;
    const auto load_tile = [&](Index first, Index count) {
        for (int a = 0; a < Map::arrays; ++a) {
            repeat_into(local[a], columns.array[a], first, channels, count);
            tile.array[a] = local[a];
        }
    };
    for (Index tiles = (period + widest_tile - 1) / widest_tile; tiles > 0; --tiles) {
        const Index first = (tiles - 1) * widest_tile, width = smaller(widest_tile, period - first);
        load_tile(begin + first, width);
        // What is left over beyond the last full period, where this tile reaches it.
        const Index rest = smaller(width, values - end - first);
        if (rest > 0) map_matrix<false>(map.at(end + first), period, 1, rest, tile);
        map_matrix<Streamed>(map.at(begin + first), period, full, width, tile);
    }
    if (begin > 0) {
        load_tile(0, begin);
        map_matrix<false>(map, period, 1, begin, tile);
    }
}

template <class Map, class Scalar>
inline void map_channels_last(const Map map, Index channels, Index rows, ChannelRange range,
                              const Columns<Map, Scalar>& columns, const KernelThreads& threads) {
    const Index repeat = rows_to_join(channels, range, widest_tile);
    const Index period = repeat * channels;
    const bool whole = range.begin == 0 && range.end == channels;
    const bool streamed = whole && period % lane_group == 0 && !map.in_place() &&
                          rows * channels * static_cast<Index>(sizeof(Scalar)) >= streamed_bytes;
    const Index size = range.end - range.begin;
    for_stretches(threads, rows, size, [&](Index begin, Index end) {
        const Map here = map.at(begin * channels);
        if (streamed) {
            map_flat<true>(here, channels, end - begin, columns, repeat, values_to_alignment(here.output()));
            end_streaming();
        } else if (repeat > 1) {
            map_flat<false>(here, channels, end - begin, columns, repeat, 0);
        } else {
            map_matrix<false>(here.at(range.begin), channels, end - begin, size, columns.at(range.begin));
        }
    });
}

/// One channels-first run: `count` values with the same coefficients.
template <bool Streamed, class Map, class Scalar>
inline void map_run(const Map map, Index count, const Columns<Map, Scalar>& channel) {
    constexpr int lanes = vector_lanes<Scalar>;
    const Index head = Streamed ? smaller(values_to_alignment(map.output()), count) : 0;
    // In local variables: what the results are written to might be an array of coefficients, for all that a
    // compiler knows.
    Scalar k[Map::arrays];
    Pack<Scalar, lanes> packs[Map::arrays];
    for (int a = 0; a < Map::arrays; ++a) {
        k[a] = *channel.array[a];
        packs[a] = broadcast<lanes>(k[a]);
    }
    const auto part = [&]<int Lanes>(LaneCount<Lanes>, Index i) __attribute__((always_inline)) {
        Pack<Scalar, Lanes> few[Map::arrays];
        for (int a = 0; a < Map::arrays; ++a) few[a] = broadcast<Lanes>(k[a]);
        store(map.output() + i, map.template result<Lanes>(i, few));
    };
    Index i = head;
    for_parts<lanes>(0, head, part);
    for (; i + lanes <= count; i += lanes)
        put<Streamed>(map.output() + i, map.template result<lanes>(i, packs));
    for_parts<lanes>(i, count, part);
}

template <bool Streamed, class Map, class Scalar>
inline void map_runs(const Map map, Index channels, const BatchShape& shape, ChannelRange range,
                     const Columns<Map, Scalar>& columns, const KernelThreads& threads) {
    const Index size = range.end - range.begin;
    for_stretches(threads, shape.batch * size, shape.spatial, [&](Index begin, Index end) {
        // The last samples first, which a cache may still hold.
        for (Index sample = (end - 1) / size; sample >= begin / size; --sample) {
            const Index last = smaller(size, end - sample * size);
            for (Index c = begin > sample * size ? begin - sample * size : 0; c < last; ++c)
                map_run<Streamed>(map.at((sample * channels + range.begin + c) * shape.spatial),
                                  shape.spatial, columns.at(range.begin + c));
        }
        if constexpr (Streamed) end_streaming();
    });
}

template <class Map, class Scalar>
inline void map_channels_first(const Map map, Index channels, const BatchShape& shape, ChannelRange range,
                               const Columns<Map, Scalar>& columns, const KernelThreads& threads) {
    // Whether the result stays in the caches depends on all of it, not on the range at hand.
    const Index bytes = shape.batch * shape.spatial * channels * static_cast<Index>(sizeof(Scalar));
    if (!map.in_place() && bytes >= streamed_bytes) {
        map_runs<true>(map, channels, shape, range, columns, threads);
    } else {
        map_runs<false>(map, channels, shape, range, columns, threads);
    }
}

}  // namespace lockstep::LOCKSTEP_SET
