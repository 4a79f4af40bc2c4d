/// The inner loops of convolution, to be included by one source for each instruction set, which names that set
/// (LOCKSTEP_SET) and is compiled with its flags, and with -ffp-contract=fast: these loops are one path for every
/// number of ranks, so that fusing multiply and add cannot make two results differ that must agree; and it doubles
/// their speed. Nothing in here may leave a function behind that another source could pick up: no inline function of
/// the standard library is called.
#pragma once

#include "../simd/vector_pack.hpp"
#include "correlation.hpp"

#include <utility>

namespace lockstep::LOCKSTEP_SET {
namespace {

// NOLINTBEGIN(misc-definitions-in-headers): one source for each namespace includes this
// Of 32 registers with AVX-512 and on ARM, else of 16.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int accumulators = 24;
#else
constexpr int accumulators = 12;
#endif

template <class Scalar>
constexpr int lanes = vector_lanes<Scalar>;
template <class Scalar>
using Vector = Pack<Scalar, lanes<Scalar>>;

/// Vectors of channels that are worked on together, and how many windows' values (or pixels) beside them.
constexpr int most_vectors = 2;
constexpr int most_beside = accumulators / most_vectors;
// NOLINTEND(misc-definitions-in-headers)

/// Everything that a tile needs; which part of it is up to the pointers.
template <class Scalar>
struct Tile {
    const Windows& windows;
    const Scalar* input;
    const Scalar* weight;  // or the output gradient
    Index pitch;           // of weight, or of sums
    const Scalar* bias;
    Scalar* output;  // or sums
    Index channels;  // to be written
};

/// `Pixels` neighbouring pixels of one row, `Vectors` vectors of channels.
template <class Scalar, int Vectors, int Pixels>
void correlate_tile(const Tile<Scalar>& tile) {
    using V = Vector<Scalar>;
    V sums[Pixels][Vectors];
#pragma GCC unroll 32
    for (int p = 0; p < Pixels; ++p)
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) sums[p][v] = load<lanes<Scalar>>(tile.bias + v * lanes<Scalar>);
    const Scalar* weight = tile.weight;
    const Index step = tile.windows.input_column_step, pitch = tile.pitch, run = tile.windows.run;
    for (Index r = 0; r < tile.windows.runs; ++r) {
        const Scalar* x = tile.input + r * tile.windows.run_pitch;
        for (Index k = 0; k < run; ++k, ++x, weight += pitch) {
            V w[Vectors];
#pragma GCC unroll 4
            for (int v = 0; v < Vectors; ++v) w[v] = load<lanes<Scalar>>(weight + v * lanes<Scalar>);
#pragma GCC unroll 32
            for (int p = 0; p < Pixels; ++p)
#pragma GCC unroll 4
                for (int v = 0; v < Vectors; ++v) sums[p][v] += x[p * step] * w[v];
        }
    }
    Scalar* output = tile.output;
#pragma GCC unroll 32
    for (int p = 0; p < Pixels; ++p, output += tile.windows.output_column_step)
        __builtin_memcpy(output, sums[p], static_cast<std::size_t>(tile.channels) * sizeof(Scalar));
}

/// `Values` neighbouring values of the windows' runs, `Vectors` vectors of channels, over all pixels.
template <class Scalar, int Vectors, int Values>
void weight_gradient_tile(const Tile<Scalar>& tile) {
    using V = Vector<Scalar>;
    V sums[Values][Vectors] = {};
    const Scalar* gradient = tile.weight;
    const Windows& windows = tile.windows;
    const Index step = windows.input_column_step, pitch = tile.pitch, columns = windows.columns;
    for (Index row = 0; row < windows.rows; ++row) {
        const Scalar* x = tile.input + row * windows.input_row_step;
        for (Index column = 0; column < columns; ++column, x += step, gradient += pitch) {
            V g[Vectors];
#pragma GCC unroll 4
            for (int v = 0; v < Vectors; ++v) g[v] = load<lanes<Scalar>>(gradient + v * lanes<Scalar>);
#pragma GCC unroll 32
            for (int k = 0; k < Values; ++k)
#pragma GCC unroll 4
                for (int v = 0; v < Vectors; ++v) sums[k][v] += x[k] * g[v];
        }
    }
#pragma GCC unroll 32
    for (int k = 0; k < Values; ++k)
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) {
            Scalar* const totals = tile.output + k * pitch + v * lanes<Scalar>;
            store(totals, load<lanes<Scalar>>(totals) + sums[k][v]);
        }
}

template <class Scalar>
using TileFunction = void (*)(const Tile<Scalar>&);

/// Entry i is the function for i + 1 pixels.
template <class Scalar, int Vectors, class UpToMost>
struct CorrelateTiles;
template <class Scalar, int Vectors, int... I>
struct CorrelateTiles<Scalar, Vectors, std::integer_sequence<int, I...>> {
    static constexpr TileFunction<Scalar> entries[] = {correlate_tile<Scalar, Vectors, I + 1>...};
};
/// Entry i is the function for i + 1 values.
template <class Scalar, int Vectors, class UpToMost>
struct WeightGradientTiles;
template <class Scalar, int Vectors, int... I>
struct WeightGradientTiles<Scalar, Vectors, std::integer_sequence<int, I...>> {
    static constexpr TileFunction<Scalar> entries[] = {weight_gradient_tile<Scalar, Vectors, I + 1>...};
};
using UpToMost = std::make_integer_sequence<int, most_beside>;

/// Calls part(begin, length) for the fewest parts of at most `most` whose lengths differ by at most one.
template <class Part>
void split_evenly(Index total, Index most, Part part) {
    const Index parts = (total + most - 1) / most;
    for (Index i = 0; i < parts; ++i) {
        const Index begin = total * i / parts;
        part(begin, total * (i + 1) / parts - begin);
    }
}

template <class Scalar, int Vectors>
void correlate_channels(const Windows& windows, Tile<Scalar> tile) {
    const Scalar* const input = tile.input;
    Scalar* const output = tile.output;
    for (Index row = 0; row < windows.rows; ++row)
        split_evenly(windows.columns, most_beside, [&](Index begin, Index pixels) {
            tile.input = input + row * windows.input_row_step + begin * windows.input_column_step;
            tile.output = output + row * windows.output_row_step + begin * windows.output_column_step;
            CorrelateTiles<Scalar, Vectors, UpToMost>::entries[pixels - 1](tile);
        });
}

template <class Scalar, int Vectors>
void weight_gradient_channels(const Windows& windows, Tile<Scalar> tile) {
    const Scalar* const input = tile.input;
    Scalar* const sums = tile.output;
    for (Index r = 0; r < windows.runs; ++r)
        split_evenly(windows.run, most_beside, [&](Index begin, Index values) {
            tile.input = input + r * windows.run_pitch + begin;
            tile.output = sums + (r * windows.run + begin) * tile.pitch;
            WeightGradientTiles<Scalar, Vectors, UpToMost>::entries[values - 1](tile);
        });
}

template <class Scalar>
void correlate(const Windows& windows, const Scalar* input, const Scalar* weight, const Scalar* bias,
               Index channels, Scalar* output) {
    const Index pitch = (channels + lanes<Scalar> - 1) / lanes<Scalar> * lanes<Scalar>;
    for (Index first = 0; first < channels; first += most_vectors * lanes<Scalar>) {
        const Index left = channels - first;
        const Tile<Scalar> tile{windows,
                                input,
                                weight + first,
                                pitch,
                                bias + first,
                                output + first,
                                left < most_vectors * lanes<Scalar> ? left : most_vectors * lanes<Scalar>};
        if (left > lanes<Scalar>)
            correlate_channels<Scalar, 2>(windows, tile);
        else
            correlate_channels<Scalar, 1>(windows, tile);
    }
}

template <class Scalar>
void add_weight_gradient(const Windows& windows, const Scalar* input, const Scalar* output_gradient,
                         Index channels, Scalar* sums) {
    const Index pitch = (channels + lanes<Scalar> - 1) / lanes<Scalar> * lanes<Scalar>;
    for (Index first = 0; first < channels; first += most_vectors * lanes<Scalar>) {
        const Tile<Scalar> tile{windows, input, output_gradient + first, pitch, nullptr, sums + first, 0};
        if (channels - first > lanes<Scalar>)
            weight_gradient_channels<Scalar, 2>(windows, tile);
        else
            weight_gradient_channels<Scalar, 1>(windows, tile);
    }
}

}  // namespace
}  // namespace lockstep::LOCKSTEP_SET

namespace lockstep {

// NOLINTBEGIN(misc-definitions-in-headers): one source for each set includes this
template <>
const Convolutions<float> Tables<Convolutions<float>>::LOCKSTEP_SET{
    LOCKSTEP_SET::lanes<float>, LOCKSTEP_SET::correlate<float>, LOCKSTEP_SET::add_weight_gradient<float>};
template <>
const Convolutions<double> Tables<Convolutions<double>>::LOCKSTEP_SET{
    LOCKSTEP_SET::lanes<double>, LOCKSTEP_SET::correlate<double>, LOCKSTEP_SET::add_weight_gradient<double>};
// NOLINTEND(misc-definitions-in-headers)

}  // namespace lockstep
