#include "correlation.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace lockstep {
namespace {

#if defined(__AVX512F__)
constexpr int vector_bytes = 64, accumulators = 24;  // of 32 registers
#elif defined(__AVX__)
constexpr int vector_bytes = 32, accumulators = 12;  // of 16
#elif defined(__aarch64__)
constexpr int vector_bytes = 16, accumulators = 24;  // of 32
#else
constexpr int vector_bytes = 16, accumulators = 12;  // of 16
#endif

template <class Scalar>
struct VectorOf;
template <>
struct VectorOf<float> {
    using type [[gnu::vector_size(vector_bytes)]] = float;
};
template <>
struct VectorOf<double> {
    using type [[gnu::vector_size(vector_bytes)]] = double;
};
template <class Scalar>
using Vector = typename VectorOf<Scalar>::type;
template <class Scalar>
constexpr int lanes = vector_bytes / static_cast<int>(sizeof(Scalar));

/// Vectors of channels that are worked on together, and how many windows' values (or pixels) beside them.
constexpr int most_vectors = 2;
constexpr int most_beside = accumulators / most_vectors;

// Through memcpy, because rows of channels may start anywhere; it compiles to one unaligned move.
template <class V, class Scalar>
void load(V& to, const Scalar* from) {
    std::memcpy(&to, from, sizeof(to));
}
template <class V, class Scalar>
void store(Scalar* to, const V& from) {
    std::memcpy(to, &from, sizeof(from));
}

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
        for (int v = 0; v < Vectors; ++v) load(sums[p][v], tile.bias + v * lanes<Scalar>);
    const Scalar* weight = tile.weight;
    const Index step = tile.windows.input_column_step, pitch = tile.pitch, run = tile.windows.run;
    for (Index r = 0; r < tile.windows.runs; ++r) {
        const Scalar* x = tile.input + r * tile.windows.run_pitch;
        for (Index k = 0; k < run; ++k, ++x, weight += pitch) {
            V w[Vectors];
#pragma GCC unroll 4
            for (int v = 0; v < Vectors; ++v) load(w[v], weight + v * lanes<Scalar>);
#pragma GCC unroll 32
            for (int p = 0; p < Pixels; ++p)
#pragma GCC unroll 4
                for (int v = 0; v < Vectors; ++v) sums[p][v] += x[p * step] * w[v];
        }
    }
    Scalar* output = tile.output;
#pragma GCC unroll 32
    for (int p = 0; p < Pixels; ++p, output += tile.windows.output_column_step)
        std::memcpy(output, sums[p], static_cast<std::size_t>(tile.channels) * sizeof(Scalar));
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
            for (int v = 0; v < Vectors; ++v) load(g[v], gradient + v * lanes<Scalar>);
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
            V total;
            load(total, totals);
            total += sums[k][v];
            store(totals, total);
        }
}

template <class Scalar>
using TileFunction = void (*)(const Tile<Scalar>&);

/// Entry i is the function for i + 1 pixels.
template <class Scalar, int Vectors, int... I>
constexpr auto correlate_tiles(std::integer_sequence<int, I...>) {
    return std::array<TileFunction<Scalar>, sizeof...(I)>{correlate_tile<Scalar, Vectors, I + 1>...};
}
template <class Scalar, int Vectors, int... I>
constexpr auto weight_gradient_tiles(std::integer_sequence<int, I...>) {
    return std::array<TileFunction<Scalar>, sizeof...(I)>{weight_gradient_tile<Scalar, Vectors, I + 1>...};
}
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
    static constexpr auto tiles = correlate_tiles<Scalar, Vectors>(UpToMost{});
    const Scalar* const input = tile.input;
    Scalar* const output = tile.output;
    for (Index row = 0; row < windows.rows; ++row)
        split_evenly(windows.columns, most_beside, [&](Index begin, Index pixels) {
            tile.input = input + row * windows.input_row_step + begin * windows.input_column_step;
            tile.output = output + row * windows.output_row_step + begin * windows.output_column_step;
            tiles[static_cast<std::size_t>(pixels - 1)](tile);
        });
}

template <class Scalar, int Vectors>
void weight_gradient_channels(const Windows& windows, Tile<Scalar> tile) {
    static constexpr auto tiles = weight_gradient_tiles<Scalar, Vectors>(UpToMost{});
    const Scalar* const input = tile.input;
    Scalar* const sums = tile.output;
    for (Index r = 0; r < windows.runs; ++r)
        split_evenly(windows.run, most_beside, [&](Index begin, Index values) {
            tile.input = input + r * windows.run_pitch + begin;
            tile.output = sums + (r * windows.run + begin) * tile.pitch;
            tiles[static_cast<std::size_t>(values - 1)](tile);
        });
}

}  // namespace

template <class Scalar>
Index padded_channels(Index channels) {
    return (channels + lanes<Scalar> - 1) / lanes<Scalar> * lanes<Scalar>;
}

template <class Scalar>
void correlate(const Windows& windows, const Scalar* input, const Scalar* weight, const Scalar* bias,
               Index channels, Scalar* output) {
    const Index pitch = padded_channels<Scalar>(channels);
    for (Index first = 0; first < channels; first += most_vectors * lanes<Scalar>) {
        const Index left = channels - first;
        const Tile<Scalar> tile{windows,
                                input,
                                weight + first,
                                pitch,
                                bias + first,
                                output + first,
                                std::min<Index>(left, most_vectors * lanes<Scalar>)};
        if (left > lanes<Scalar>)
            correlate_channels<Scalar, 2>(windows, tile);
        else
            correlate_channels<Scalar, 1>(windows, tile);
    }
}

template <class Scalar>
void add_weight_gradient(const Windows& windows, const Scalar* input, const Scalar* output_gradient,
                         Index channels, Scalar* sums) {
    const Index pitch = padded_channels<Scalar>(channels);
    for (Index first = 0; first < channels; first += most_vectors * lanes<Scalar>) {
        const Tile<Scalar> tile{windows, input, output_gradient + first, pitch, nullptr, sums + first, 0};
        if (channels - first > lanes<Scalar>)
            weight_gradient_channels<Scalar, 2>(windows, tile);
        else
            weight_gradient_channels<Scalar, 1>(windows, tile);
    }
}

template Index padded_channels<float>(Index);
template void correlate(const Windows&, const float*, const float*, const float*, Index, float*);
template void add_weight_gradient(const Windows&, const float*, const float*, Index, float*);
template Index padded_channels<double>(Index);
template void correlate(const Windows&, const double*, const double*, const double*, Index, double*);
template void add_weight_gradient(const Windows&, const double*, const double*, Index, double*);

}  // namespace lockstep
