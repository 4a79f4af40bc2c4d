/// The two sums per channel that forward and backward begin with.
///
/// Everything comes down to a matrix of rows whose columns are summed independently, each from the first row
/// to the last: channels-last data as it is (or several rows joined to one), a channels-first run as rows of
/// lane_group columns whose sums are added up at the end. No sum is spread over a vector's lanes otherwise,
/// which is why all vector widths give the same bits.
///
/// Four rows are summed one after the other, these sums in blocks of 32 rows, all in Scalar, and the blocks
/// in double. The roundings within a block, 2⁻²⁴ of it for float, are as often up as down and fade with the
/// number of blocks: what they leave in mean and variance lies below what a float can show. Doubles all the
/// way would take three times as long, where the data lies in a cache. (Squares overflow where values lie
/// 10¹⁸ apart.)
///
/// On several threads each takes some blocks, whose sums are kept and then added in the same order, each thread doing it
/// for some columns; of channels-first data each takes some channels.
#pragma once

#include "../simd/vector_pack.hpp"
#include "kernel_layout.hpp"
#include "kernel_tasks.hpp"

namespace lockstep::LOCKSTEP_SET {

constexpr Index rows_of_group = 4;
constexpr Index rows_of_block = 32;
/// Rows are joined up to this many columns: of more, the sums would drive the rows out of the innermost
/// cache.
constexpr Index widest_joined_sums = 640;
/// Long rows that are read at a time, of all tensors.
constexpr Index streams = 8;

/// Σ d and Σ d² of d = x − shift.
template <class Scalar>
struct MomentTerms {
    static constexpr int tensors = 1, arrays = 1;  // shift
    const Scalar* x;

    MomentTerms at(Index offset) const { return {x + offset}; }

    template <int Lanes>
    void read(Index offset, const Pack<Scalar, Lanes> (&k)[arrays], Pack<Scalar, Lanes>& first,
              Pack<Scalar, Lanes>& second) const {
        first = subtract_in_multiplier<Lanes, Scalar>(load<Lanes>(x + offset), k[0]);
        second = first * first;
    }
};

/// Σ dz and Σ dz·(x − shift).
template <class Scalar, Activation activation>
struct GradientTerms {
    static constexpr int tensors = 2;
    /// shift; where dz is masked also the scale and offset of normalize.
    static constexpr int arrays = activation == Activation::relu ? 3 : 1;
    const Scalar* x;
    const Scalar* dz;

    GradientTerms at(Index offset) const { return {x + offset, dz + offset}; }

    template <int Lanes>
    void read(Index offset, const Pack<Scalar, Lanes> (&k)[arrays], Pack<Scalar, Lanes>& first,
              Pack<Scalar, Lanes>& second) const {
        const Pack<Scalar, Lanes> d = subtract_in_multiplier<Lanes, Scalar>(load<Lanes>(x + offset), k[0]);
        first = load<Lanes>(dz + offset);
        if constexpr (activation == Activation::relu)
            first = where_positive<Lanes, Scalar>(d * k[1] + k[2], first);
        second = first * d;
    }
};

/// The running sums of Packs·Lanes columns, in registers: a struct and no array, for compilers keep arrays of
/// vectors in memory.
template <int Packs, int Lanes, class Terms, class Scalar>
struct ColumnSums {
    using Vector = Pack<Scalar, Lanes>;
    Vector k[Terms::arrays], first{}, second{}, group_first, group_second;
    ColumnSums<Packs - 1, Lanes, Terms, Scalar> rest;

    inline __attribute__((always_inline)) explicit ColumnSums(const Columns<Terms, Scalar>& columns)
        : rest(columns.at(Lanes)) {
        for (int a = 0; a < Terms::arrays; ++a) k[a] = load<Lanes>(columns.array[a]);
    }

    inline __attribute__((always_inline)) void resume(const Scalar* firsts, const Scalar* seconds) {
        first = load<Lanes>(firsts);
        second = load<Lanes>(seconds);
        rest.resume(firsts + Lanes, seconds + Lanes);
    }
    inline __attribute__((always_inline)) void begin_group(const Terms& terms, Index offset) {
        terms.template read<Lanes>(offset, k, group_first, group_second);
        rest.begin_group(terms, offset + Lanes);
    }
    inline __attribute__((always_inline)) void add_to_group(const Terms& terms, Index offset) {
        Vector a, b;
        terms.template read<Lanes>(offset, k, a, b);
        group_first += a;
        group_second += b;
        rest.add_to_group(terms, offset + Lanes);
    }
    inline __attribute__((always_inline)) void end_group() {
        first += group_first;
        second += group_second;
        rest.end_group();
    }
    inline __attribute__((always_inline)) void keep(Scalar* firsts, Scalar* seconds) const {
        store(firsts, first);
        store(seconds, second);
        rest.keep(firsts + Lanes, seconds + Lanes);
    }
    inline __attribute__((always_inline)) void add_to(double* firsts, double* seconds) const {
        add_widened<Lanes, Scalar>(firsts, first);
        add_widened<Lanes, Scalar>(seconds, second);
        rest.add_to(firsts + Lanes, seconds + Lanes);
    }
};
template <int Lanes, class Terms, class Scalar>
struct ColumnSums<0, Lanes, Terms, Scalar> {
    explicit ColumnSums(const Columns<Terms, Scalar>&) {}
    void resume(const Scalar*, const Scalar*) {}
    void begin_group(const Terms&, Index) {}
    void add_to_group(const Terms&, Index) {}
    void end_group() {}
    void keep(Scalar*, Scalar*) const {}
    void add_to(double*, double*) const {}
};

/// Adds `rows` rows, row by row, as they lie in memory.
template <class Sums, class Terms>
inline __attribute__((always_inline)) void add_rows(Sums& sums, const Terms terms, Index stride, Index rows) {
    for (Index row = 0; row < rows; row += rows_of_group) {
        sums.begin_group(terms, row * stride);
        if (row + rows_of_group <= rows) {
            for (Index i = 1; i < rows_of_group; ++i) sums.add_to_group(terms, (row + i) * stride);
        } else {
            for (Index i = row + 1; i < rows; ++i) sums.add_to_group(terms, i * stride);
        }
        sums.end_group();
    }
}

/// Where the sums of blocks go: added to those of the columns …
template <class Scalar>
struct ColumnTotals {
    double* first;
    double* second;

    template <class Sums>
    inline __attribute__((always_inline)) void take(const Sums& sums, Index, Index c) const {
        sums.add_to(first + c, second + c);
    }
};

/// … or kept, for each block those of all columns.
template <class Scalar>
struct BlockSums {
    Scalar* kept;
    Index width;

    Scalar* first(Index block) const { return kept + 2 * block * width; }
    Scalar* second(Index block) const { return first(block) + width; }
    BlockSums from(Index block) const { return {first(block), width}; }

    template <class Sums>
    inline __attribute__((always_inline)) void take(const Sums& sums, Index block, Index c) const {
        sums.keep(first(block) + c, second(block) + c);
    }
};

/// Adds a matrix of short rows: in panels of Packs vectors, a block at a time with all sums in registers.
template <int Packs, class Terms, class Scalar, class Sink>
inline void add_narrow_matrix(const Terms terms, Index stride, Index rows, Index width,
                              const Columns<Terms, Scalar>& columns, const Sink sink) {
    constexpr int most = Packs * vector_lanes<Scalar>;
    for (Index row = 0; row < rows; row += rows_of_block) {
        const Terms block = terms.at(row * stride);
        const Index count = smaller(rows_of_block, rows - row);
        const auto add = [&]<int Width>(LaneCount<Width>, Index c) __attribute__((always_inline)) {
            constexpr int lanes = Width < vector_lanes<Scalar> ? Width : vector_lanes<Scalar>;
            ColumnSums<Width / lanes, lanes, Terms, Scalar> sums(columns.at(c));
            add_rows(sums, block.at(c), stride, count);
            sink.take(sums, row / rows_of_block, c);
        };
        for_parts<most>(0, width, add);
    }
}

/// Adds a matrix of long rows: a few at a time from one end to the other, each of them a stream that
/// prefetchers follow, with the block's sums in memory.
template <class Terms, class Scalar, class Sink>
inline void add_wide_matrix(const Terms terms, Index stride, Index rows, Index width,
                            const Columns<Terms, Scalar>& columns, const Sink sink) {
    constexpr Index together = streams / Terms::tensors;
    static_assert(rows_of_block % together == 0 && together % rows_of_group == 0);
    alignas(64) Scalar firsts[widest_tile], seconds[widest_tile];
    for (Index row = 0; row < rows; row += together) {
        const Terms here = terms.at(row * stride);
        const Index count = smaller(together, rows - row);
        const bool begins = row % rows_of_block == 0;
        const bool ends = row + count == rows || (row + count) % rows_of_block == 0;
        const auto add = [&]<int Lanes>(Index c, Index height) __attribute__((always_inline)) {
            ColumnSums<1, Lanes, Terms, Scalar> sums(columns.at(c));
            if (!begins) sums.resume(firsts + c, seconds + c);
            add_rows(sums, here.at(c), stride, height);
            if (ends)
                sink.take(sums, row / rows_of_block, c);
            else
                sums.keep(firsts + c, seconds + c);
        };
        const auto full = [&]<int Lanes>(LaneCount<Lanes>, Index c) __attribute__((always_inline)) {
            add.template operator()<Lanes>(c, together);
        };
        const auto rest = [&]<int Lanes>(LaneCount<Lanes>, Index c) __attribute__((always_inline)) {
            add.template operator()<Lanes>(c, count);
        };
        if (count == together)
            for_parts<vector_lanes<Scalar>>(0, width, full);
        else
            for_parts<vector_lanes<Scalar>>(0, width, rest);
    }
}

/// Adds a matrix to the sums of its columns. Which loop does it changes no bit.
template <class Terms, class Scalar, class Sink>
inline void add_matrix(const Terms terms, Index stride, Index rows, Index width,
                       const Columns<Terms, Scalar>& columns, const Sink sink) {
    if (width <= narrowest_row)
        add_narrow_matrix<4>(terms, stride, rows, width, columns, sink);
    else
        add_wide_matrix(terms, stride, rows, width, columns, sink);
}

/// Adds the sums of blocks to those of the columns [begin, end).
template <class Scalar>
inline void add_blocks(const BlockSums<Scalar>& sums, Index blocks, Index begin, Index end, double* first,
                       double* second) {
    for (Index block = 0; block < blocks; ++block) {
        const auto add = [&]<int Lanes>(LaneCount<Lanes>, Index c) __attribute__((always_inline)) {
            add_widened<Lanes, Scalar>(first + c, load<Lanes>(sums.first(block) + c));
            add_widened<Lanes, Scalar>(second + c, load<Lanes>(sums.second(block) + c));
        };
        for_parts<vector_lanes<Scalar>>(begin, end, add);
    }
}

/// The same on several threads.
template <class Terms, class Scalar>
inline void add_matrix(const Terms terms, Index stride, Index rows, Index width,
                       const Columns<Terms, Scalar>& columns, double* first, double* second,
                       const KernelThreads& threads) {
    if (threads.team == nullptr || rows * width < 2 * values_of_task || rows <= rows_of_block)
        return add_matrix(terms, stride, rows, width, columns, ColumnTotals<Scalar>{first, second});
    const Index blocks = (rows + rows_of_block - 1) / rows_of_block;
    const auto bytes = static_cast<std::size_t>(2 * blocks * width) * sizeof(Scalar);
    const BlockSums<Scalar> sums{static_cast<Scalar*>(threads.scratch(threads.team, bytes)), width};
    for_stretches(threads, blocks, rows_of_block * width, [&](Index begin, Index end) {
        const Index row = begin * rows_of_block;
        add_matrix(terms.at(row * stride), stride, smaller(end * rows_of_block, rows) - row, width, columns,
                   sums.from(begin));
    });
    const Index groups = (width + lane_group - 1) / lane_group;
    for_stretches(threads, groups, 2 * lane_group * blocks, [&](Index begin, Index end) {
        add_blocks(sums, blocks, begin * lane_group, smaller(end * lane_group, width), first, second);
    });
}

/// The sums of channels-last data; columns and sums are those of the range.
template <class Terms, class Scalar>
inline void sums_channels_last(const Terms terms, Index channels, Index rows, ChannelRange range,
                               const Columns<Terms, Scalar>& columns, double* first, double* second,
                               const KernelThreads& threads) {
    const Index size = range.end - range.begin;
    for (Index c = 0; c < size; ++c) first[c] = second[c] = 0;
    const Index repeat = rows_to_join(channels, range, widest_joined_sums);
    if (repeat == 1) {
        const Terms begin = terms.at(range.begin);
        return add_matrix(begin, channels, rows, size, columns, first, second, threads);
    }

    const Index width = repeat * channels;
    alignas(64) Scalar joined_array[Terms::arrays][widest_joined_sums];
    alignas(64) double joined_first[widest_joined_sums], joined_second[widest_joined_sums];
    Columns<Terms, Scalar> joined;
    for (int a = 0; a < Terms::arrays; ++a) {
        repeat_into(joined_array[a], columns.array[a], 0, channels, width);
        joined.array[a] = joined_array[a];
    }
    for (Index c = 0; c < width; ++c) joined_first[c] = joined_second[c] = 0;

    const Index joined_rows = rows / repeat, rest = rows % repeat;
    add_matrix(terms, width, joined_rows, width, joined, joined_first, joined_second, threads);
    add_matrix(terms.at(joined_rows * width), width, rest > 0 ? 1 : 0, rest * channels, joined,
               ColumnTotals<Scalar>{joined_first, joined_second});
    for (Index r = 0; r < repeat; ++r)
        for (Index c = 0; c < channels; ++c) {
            first[c] += joined_first[r * channels + c];
            second[c] += joined_second[r * channels + c];
        }
}

/// Adds the lanes of one channel, in halves.
inline double sum_of_lanes(double* lanes) {
    for (Index half = lane_group / 2; half > 0; half /= 2)
        for (Index i = 0; i < half; ++i) lanes[i] += lanes[i + half];
    return lanes[0];
}

/// The sums of channels-first data; columns and sums are those of the range. Of several channels at a time,
/// so that what is read in one go is long.
template <class Terms, class Scalar>
inline void sums_channels_first(const Terms terms, Index channels, const BatchShape& shape,
                                ChannelRange range, const Columns<Terms, Scalar>& columns, double* first,
                                double* second) {
    constexpr Index together = 32;
    alignas(64) double lanes[together][2][lane_group];
    alignas(64) Scalar array[together][Terms::arrays][lane_group];
    Columns<Terms, Scalar> run_columns[together];
    const Index rows = shape.spatial / lane_group, rest = shape.spatial % lane_group;
    for (Index begin = range.begin; begin < range.end; begin += together) {
        const Index count = smaller(together, range.end - begin);
        for (Index c = 0; c < count; ++c) {
            for (int a = 0; a < Terms::arrays; ++a) {
                repeat_into(array[c][a], columns.array[a] + (begin - range.begin + c), 0, 1, lane_group);
                run_columns[c].array[a] = array[c][a];
            }
            for (Index i = 0; i < lane_group; ++i) lanes[c][0][i] = lanes[c][1][i] = 0;
        }
        for (Index sample = 0; sample < shape.batch; ++sample)
            for (Index c = 0; c < count; ++c) {
                const Terms run = terms.at((sample * channels + begin + c) * shape.spatial);
                const ColumnTotals<Scalar> totals{lanes[c][0], lanes[c][1]};
                add_narrow_matrix<1>(run, lane_group, rows, lane_group, run_columns[c], totals);
                add_narrow_matrix<1>(run.at(rows * lane_group), lane_group, rest > 0 ? 1 : 0, rest,
                                     run_columns[c], totals);
            }
        for (Index c = 0; c < count; ++c) {
            first[begin - range.begin + c] = sum_of_lanes(lanes[c][0]);
            second[begin - range.begin + c] = sum_of_lanes(lanes[c][1]);
        }
    }
}

/// The same on several threads.
template <class Terms, class Scalar>
inline void sums_channels_first(const Terms terms, Index channels, const BatchShape& shape,
                                ChannelRange range, const Columns<Terms, Scalar>& columns, double* first,
                                double* second, const KernelThreads& threads) {
    for_stretches(threads, range.end - range.begin, shape.batch * shape.spatial, [&](Index begin, Index end) {
        sums_channels_first(terms, channels, shape, {range.begin + begin, range.begin + end},
                            columns.at(begin), first + begin, second + begin);
    });
}

}  // namespace lockstep::LOCKSTEP_SET
