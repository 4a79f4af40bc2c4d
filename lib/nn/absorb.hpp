/// How a layer that multiplies by weights and adds a bias absorbs a map of its channels:
///
///     of the output:  W'[o][i] = scale[o]·W[o][i]    b'[o] = scale[o]·b[o] + shift[o]
///     of the input:   W'[o][i] = W[o][i]·scale[i]    b'[o] = b[o] + Σ over i of W[o][i]·shift[i]
///
/// (of a convolution for each tap of the kernel). Computed in double and rounded once.
#pragma once

#include <lockstep/nn/layer.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

namespace lockstep {

/// The channels that a weight joins.
struct WeightPlace {
    std::size_t input, output;
};

/// Whether all are finite as Scalar.
template <class Scalar>
bool all_finite(const std::vector<double>& values) {
    constexpr double largest = std::numeric_limits<Scalar>::max();
    return std::ranges::all_of(values, [](double value) { return std::abs(value) <= largest; });
}

/// `place_of` takes the index of a weight. False, and nothing changes, if a result would not be finite.
template <class Scalar, class PlaceOf>
bool absorb_map(const ChannelMap& map, typename Layer<Scalar>::Side side, std::span<Scalar> weight,
                std::span<Scalar> bias, PlaceOf place_of) {
    const bool after = side == Layer<Scalar>::Side::output;
    std::vector<double> new_weight(weight.begin(), weight.end()), new_bias(bias.begin(), bias.end());
    if (after)
        for (std::size_t o = 0; o < bias.size(); ++o) new_bias[o] = map.scale[o] * new_bias[o] + map.shift[o];
    for (std::size_t k = 0; k < weight.size(); ++k) {
        const WeightPlace place = place_of(k);
        if (!after) new_bias[place.output] += new_weight[k] * map.shift[place.input];
        new_weight[k] *= map.scale[after ? place.output : place.input];
    }
    if (!all_finite<Scalar>(new_weight) || !all_finite<Scalar>(new_bias)) return false;
    const auto round = [](double value) { return static_cast<Scalar>(value); };
    std::ranges::transform(new_weight, weight.begin(), round);
    std::ranges::transform(new_bias, bias.begin(), round);
    return true;
}

}  // namespace lockstep
