/// Numbers that both the tests and PyTorch make, so that fixtures hold results only; see reference_network.py.
#pragma once

#include <lockstep/nn/network.hpp>
#include <lockstep/train/weights.hpp>

#include <span>
#include <vector>

namespace lockstep::test {

/// 0 … 1008, well mixed.
inline Index reference_draw(Index stream, Index index) {
    return ((index * 31 + stream * 17 + 5) * 7919 + index * index % 127 * 11) % 1009;
}

/// To numbers from −0.5 to 0.5, in batch norms around 1 for the scale.
inline void set_reference_parameters(Network<double>& network) {
    Index stream = 0;
    for (const ParameterInfo& info : network.layout().parameters()) {
        ++stream;
        std::vector<double> values;
        for (Index i = 0; i < info.size; ++i)
            values.push_back(static_cast<double>(reference_draw(stream, i)) / 1009 - 0.5 +
                             (info.kind == ParameterKind::scale ? 1 : 0));
        to_memory_order<double>(
            info, values, network.parameters().subspan(static_cast<std::size_t>(info.offset), values.size()));
    }
}

/// The flat array without its padding, in the order of torch.nn.Module.parameters(); of dense layers, whose
/// memory has the order of files.
template <class Scalar>
std::vector<double> values_of(std::span<const ParameterInfo> layout, std::span<const Scalar> flat) {
    std::vector<double> values;
    for (const ParameterInfo& info : layout)
        for (Index i = info.offset; i < info.end(); ++i)
            values.push_back(static_cast<double>(flat[static_cast<std::size_t>(i)]));
    return values;
}

/// Σ v·(index mod 7 + 1).
inline double weighted_sum(std::span<const double> values) {
    double sum = 0;
    for (std::size_t i = 0; i < values.size(); ++i) sum += values[i] * static_cast<double>(i % 7 + 1);
    return sum;
}

}  // namespace lockstep::test
