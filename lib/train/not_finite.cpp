#include "not_finite.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <vector>

namespace lockstep {
namespace {

/// The first that any rank has.
LayerRange first_of_all(const Communicator& communicator, LayerRange mine) {
    const std::array<std::size_t, 2> own{mine.begin, mine.end};
    std::vector<std::array<std::size_t, 2>> all(static_cast<std::size_t>(communicator.size()));
    communicator.all_gather(own.data(), all.data(),
                            std::vector<int>(all.size(), static_cast<int>(sizeof own)),
                            "where the loss is not finite");
    const auto& first = *std::ranges::min_element(all);
    return {first[0], first[1]};
}

/// "layer 3 (linear)", "one of layers 3 to 4 (linear, sigmoid)"
template <class Scalar>
std::string name(const Sequence<Scalar>& layers, LayerRange range) {
    std::string kinds;
    for (std::size_t i = range.begin; i < range.end; ++i)
        kinds += (kinds.empty() ? "" : ", ") + layers.layer(i).kind();
    const std::string first = std::to_string(range.begin);
    return (range.end - range.begin == 1
                ? "layer " + first
                : "one of layers " + first + " to " + std::to_string(range.end - 1)) +
           " (" + kinds + ")";
}

}  // namespace

template <class Scalar>
std::string last_not_finite(const ParameterLayout& layout, std::span<const Scalar> values) {
    const std::span<const ParameterInfo> parameters = layout.parameters();
    for (std::size_t i = parameters.size(); i-- > 0;) {
        const ParameterInfo& info = parameters[i];
        const auto own =
            values.subspan(static_cast<std::size_t>(info.offset), static_cast<std::size_t>(info.size));
        const auto bad = std::ranges::find_if_not(own, [](Scalar value) { return std::isfinite(value); });
        if (bad != own.end()) return "'" + info.name + "' (" + (std::isnan(*bad) ? "NaN" : "infinite") + ")";
    }
    return "";
}

template <class Scalar>
std::string why_loss_is_not_finite(const Network<Scalar>& network, const std::string& loss,
                                   bool parameters_have_changed) {
    // With the same parameters everywhere this is the same everywhere; it still takes part in the exchange below.
    const std::string parameter = last_not_finite(network.layout(), network.parameters());
    const Sequence<Scalar>& layers = network.layers();
    const LayerRange first = first_of_all(network.setup().communicator, network.first_not_finite());
    const std::string cure =
        std::string(parameters_have_changed ? "lower the learning rate, warm it up, or " : "") +
        "scale inputs and targets down";
    if (!parameter.empty())
        return "parameter " + parameter +
               (parameters_have_changed
                    ? " is not finite since the step before: its gradient was not, or " + cure
                    : " has been so from the beginning");
    if (first.begin < layers.size())
        return "the first layer whose output is not is " + name(layers, first) + ": " + cure;
    return "all layers have finite outputs, of which loss " + loss + " makes none: " + cure;
}

template std::string last_not_finite(const ParameterLayout&, std::span<const float>);
template std::string last_not_finite(const ParameterLayout&, std::span<const double>);
template std::string why_loss_is_not_finite(const Network<float>&, const std::string&, bool);
template std::string why_loss_is_not_finite(const Network<double>&, const std::string&, bool);

}  // namespace lockstep
