/// The two sums per channel that forward and backward begin with.
///
/// Everything comes down to a matrix of rows whose columns are summed independently, each from the first row
/// to the last: channels-last data as it is (or several rows joined to one), a channels-first run as rows of
/// lane_group columns whose sums are added up at the end. No sum is spread over a vector's lanes otherwise,
/// which is why all vector widths give the same bits.
///
/// A few rows at a time are summed in Scalar, and these sums in double. The roundings within a block, 2⁻²⁴ of
/// it for float, are as often up as down and fade with the number of blocks: what they leave in mean and
/// variance lies below what a float can show. Doubles all the way would take three times as long, where the
/// data lies in a cache. (Squares overflow where values lie 10¹⁸ apart.)
#pragma once

#include "kernel_layout.hpp"
#include "vector_pack.hpp"

namespace lockstep::LOCKSTEP_KERNELS {

/// Rows that are summed in Scalar: enough to amortize the conversion and the loads and stores of the doubles.
/// Where rows lie far apart each is a stream of its own, and neither the prefetchers nor the ways of a cache
/// follow many.
constexpr Index rows_of_run = 16;
constexpr Index rows_of_matrix = 8;
constexpr Index rows_of_wide_matrices = 4;
/// Short rows of two tensors are read as they lie in memory, if registers can hold the sums.
template <class Terms>
constexpr int packs_of_narrow_rows = Terms::tensors == 1  ? 1
                                     : vector_bytes == 16 ? 2
                                                          : 4;

/// Σ d and Σ d² of d = x − shift.
template <class Scalar>
struct MomentTerms {
    static constexpr int tensors = 1;
    const Scalar* x;

    MomentTerms at(Index offset) const { return {x + offset}; }

    template <int Lanes>
    void add(Index offset, const Pack<Scalar, Lanes>& shift, Pack<Scalar, Lanes>& first,
             Pack<Scalar, Lanes>& second) const {
        const Pack<Scalar, Lanes> d = load<Lanes>(x + offset) - shift;
        first += d;
        second += d * d;
    }
};

/// Σ dz and Σ dz·(x − shift).
template <class Scalar>
struct GradientTerms {
    static constexpr int tensors = 2;
    const Scalar* x;
    const Scalar* dz;

    GradientTerms at(Index offset) const { return {x + offset, dz + offset}; }

    template <int Lanes>
    void add(Index offset, const Pack<Scalar, Lanes>& shift, Pack<Scalar, Lanes>& first,
             Pack<Scalar, Lanes>& second) const {
        const Pack<Scalar, Lanes> gradient = load<Lanes>(dz + offset);
        first += gradient;
        second += gradient * (load<Lanes>(x + offset) - shift);
    }
};

/// The running sums of Packs·Lanes columns, in registers: a struct and no array, for compilers keep arrays of
/// vectors in memory.
template <int Packs, int Lanes, class Scalar>
struct BlockSums {
    Pack<Scalar, Lanes> shift, first{}, second{};
    BlockSums<Packs - 1, Lanes, Scalar> rest;

    inline __attribute__((always_inline)) explicit BlockSums(const Scalar* shifts)
        : shift(load<Lanes>(shifts)), rest(shifts + Lanes) {}

    template <class Terms>
    inline __attribute__((always_inline)) void add(const Terms& terms, Index offset) {
        terms.template add<Lanes>(offset, shift, first, second);
        rest.add(terms, offset + Lanes);
    }
    inline __attribute__((always_inline)) void add_to(double* firsts, double* seconds) const {
        add_widened<Lanes, Scalar>(firsts, first);
        add_widened<Lanes, Scalar>(seconds, second);
        rest.add_to(firsts + Lanes, seconds + Lanes);
    }
};
template <int Lanes, class Scalar>
struct BlockSums<0, Lanes, Scalar> {
    explicit BlockSums(const Scalar*) {}
    template <class Terms>
    void add(const Terms&, Index) {}
    void add_to(double*, double*) const {}
};

/// Adds one block: `rows` rows of Columns columns. Row by row, as the values lie in memory.
template <int Columns, class Terms, class Scalar>
inline __attribute__((always_inline)) void add_block(const Terms terms, Index stride, Index rows,
                                                     const Scalar* shifts, double* first, double* second) {
    constexpr int lanes = Columns < vector_lanes<Scalar> ? Columns : vector_lanes<Scalar>;
    BlockSums<Columns / lanes, lanes, Scalar> sums(shifts);
    for (Index row = 0; row < rows; ++row) sums.add(terms, row * stride);
    sums.add_to(first, second);
}

/// Adds a matrix to the sums of its columns, in blocks of Rows rows and Packs vectors.
template <Index Rows, int Packs = 1, class Terms, class Scalar>
inline void add_matrix(const Terms terms, Index stride, Index rows, Index columns, const Scalar* shifts,
                       double* first, double* second) {
    constexpr int most = Packs * vector_lanes<Scalar>;
    for (Index row = 0; row < rows; row += Rows) {
        const Terms block = terms.at(row * stride);
        const Index count = smaller(Rows, rows - row);
        const auto full = [&]<int Lanes>(LaneCount<Lanes>, Index c) __attribute__((always_inline)) {
            add_block<Lanes>(block.at(c), stride, Rows, shifts + c, first + c, second + c);
        };
        const auto rest = [&]<int Lanes>(LaneCount<Lanes>, Index c) __attribute__((always_inline)) {
            add_block<Lanes>(block.at(c), stride, count, shifts + c, first + c, second + c);
        };
        if (count == Rows)
            for_parts<most>(0, columns, full);
        else
            for_parts<most>(0, columns, rest);
    }
}

/// The sums of channels-last data; shifts and sums are those of the range.
template <class Terms, class Scalar>
inline void sums_channels_last(const Terms terms, Index channels, Index rows, ChannelRange range,
                               const Scalar* shifts, double* first, double* second) {
    const Index size = range.end - range.begin;
    for (Index c = 0; c < size; ++c) first[c] = second[c] = 0;
    const Index repeat = rows_to_join(channels, range);
    constexpr int packs = packs_of_narrow_rows<Terms>;
    if (repeat == 1) {
        const Terms begin = terms.at(range.begin);
        if (channels < wide)
            return add_matrix<rows_of_matrix, packs>(begin, channels, rows, size, shifts, first, second);
        constexpr Index block = Terms::tensors == 1 ? rows_of_matrix : rows_of_wide_matrices;
        return add_matrix<block>(begin, channels, rows, size, shifts, first, second);
    }

    const Index columns = repeat * channels;
    alignas(64) Scalar joined_shifts[widest_tile];
    alignas(64) double joined_first[widest_tile], joined_second[widest_tile];
    for (Index r = 0; r < repeat; ++r)
        for (Index c = 0; c < channels; ++c) joined_shifts[r * channels + c] = shifts[c];
    for (Index c = 0; c < columns; ++c) joined_first[c] = joined_second[c] = 0;

    const Index joined_rows = rows / repeat, rest = rows % repeat;
    add_matrix<rows_of_matrix, packs>(terms, columns, joined_rows, columns, joined_shifts, joined_first,
                                      joined_second);
    add_matrix<1>(terms.at(joined_rows * columns), columns, rest > 0 ? 1 : 0, rest * channels, joined_shifts,
                  joined_first, joined_second);
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

/// The sums of channels-first data; shifts and sums are those of the range. Of several channels at a time, so
/// that what is read in one go is long.
template <class Terms, class Scalar>
inline void sums_channels_first(const Terms terms, Index channels, const BatchShape& shape,
                                ChannelRange range, const Scalar* shifts, double* first, double* second) {
    constexpr Index together = 32;
    alignas(64) double lanes[together][2][lane_group];
    alignas(64) Scalar shift[together][lane_group];
    const Index rows = shape.spatial / lane_group, rest = shape.spatial % lane_group;
    for (Index begin = range.begin; begin < range.end; begin += together) {
        const Index count = smaller(together, range.end - begin);
        for (Index c = 0; c < count; ++c)
            for (Index i = 0; i < lane_group; ++i) {
                shift[c][i] = shifts[begin - range.begin + c];
                lanes[c][0][i] = lanes[c][1][i] = 0;
            }
        for (Index sample = 0; sample < shape.batch; ++sample)
            for (Index c = 0; c < count; ++c) {
                const Terms run = terms.at((sample * channels + begin + c) * shape.spatial);
                add_matrix<rows_of_run>(run, lane_group, rows, lane_group, shift[c], lanes[c][0],
                                        lanes[c][1]);
                add_matrix<1>(run.at(rows * lane_group), lane_group, rest > 0 ? 1 : 0, rest, shift[c],
                              lanes[c][0], lanes[c][1]);
            }
        for (Index c = 0; c < count; ++c) {
            first[begin - range.begin + c] = sum_of_lanes(lanes[c][0]);
            second[begin - range.begin + c] = sum_of_lanes(lanes[c][1]);
        }
    }
}

}  // namespace lockstep::LOCKSTEP_KERNELS
