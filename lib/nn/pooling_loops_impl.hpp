/// See kernels_impl.hpp for how this is included.
#pragma once

#include "pooling_loops.hpp"
#include "window_pixels.hpp"

namespace lockstep::LOCKSTEP_SET {
namespace {

// NOLINTBEGIN(misc-redundant-expression): x == x asks whether x is a number.
/// Lets a candidate win where it is larger than the largest so far, or the first that is not a number. The arrays do
/// not overlap; told so, the compiler vectorizes the loop.
template <class Scalar>
void challenge(const Scalar* __restrict candidate, std::uint16_t number, Scalar* __restrict largest,
               std::uint16_t* __restrict winner, Index channels) {
    for (Index c = 0; c < channels; ++c) {
        const bool wins = !(candidate[c] <= largest[c]) & (largest[c] == largest[c]);
        largest[c] = wins ? candidate[c] : largest[c];
        winner[c] = wins ? number : winner[c];
    }
}

template <class Scalar>
void challenge(const Scalar* __restrict candidate, Scalar* __restrict largest, Index channels) {
    for (Index c = 0; c < channels; ++c) {
        const bool wins = !(candidate[c] <= largest[c]) & (largest[c] == largest[c]);
        largest[c] = wins ? candidate[c] : largest[c];
    }
}

// NOLINTEND(misc-redundant-expression)

template <class Scalar>
void maximum(const PoolExtents& e, const Scalar* x, Scalar* z, std::uint16_t* winners) {
    const Index channels = e.input.channels;
    Index started = -1;  // the output whose window has been entered
    for_each_window_pixel(e.input, e.output, e.options, e.batch, [&](Index from, Index to, Index number) {
        const auto position = static_cast<std::uint16_t>(number);
        if (to != started) {  // the first of a window is the one that the others have to beat
            started = to;
            for (Index c = 0; c < channels; ++c) z[to + c] = x[from + c];
            for (Index c = 0; winners != nullptr && c < channels; ++c) winners[to + c] = position;
        } else if (winners != nullptr) {
            challenge(x + from, position, z + to, winners + to, channels);
        } else {
            challenge(x + from, z + to, channels);
        }
    });
}

template <class Scalar>
void add_where_won(const std::uint16_t* __restrict winner, std::uint16_t number, const Scalar* __restrict dz,
                   Scalar* __restrict dx, Index channels) {
    for (Index c = 0; c < channels; ++c) dx[c] += winner[c] == number ? dz[c] : Scalar(0);
}

template <class Scalar>
void add_to_winners(const PoolExtents& e, const std::uint16_t* winners, const Scalar* dz, Scalar* dx) {
    for_each_window_pixel(e.input, e.output, e.options, e.batch, [&](Index from, Index to, Index number) {
        add_where_won(winners + to, static_cast<std::uint16_t>(number), dz + to, dx + from, e.input.channels);
    });
}

}  // namespace
}  // namespace lockstep::LOCKSTEP_SET

namespace lockstep {

// NOLINTBEGIN(misc-definitions-in-headers): one source for each set includes this
template <>
const PoolingLoops<float> Tables<PoolingLoops<float>>::LOCKSTEP_SET{LOCKSTEP_SET::maximum<float>,
                                                                    LOCKSTEP_SET::add_to_winners<float>};
template <>
const PoolingLoops<double> Tables<PoolingLoops<double>>::LOCKSTEP_SET{LOCKSTEP_SET::maximum<double>,
                                                                      LOCKSTEP_SET::add_to_winners<double>};
// NOLINTEND(misc-definitions-in-headers)

}  // namespace lockstep
