#include "layer_checks.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/comm/exchange_label.hpp>

#include <algorithm>
#include <climits>
#include <cmath>
#include <limits>

namespace lockstep {
namespace {

/// Channels whose sums still fit one message: 2 GiB, with its label.
constexpr Index most_channels = (INT_MAX - static_cast<Index>(sizeof(ExchangeLabel))) / 16 - 1;

std::string yes_or_no(bool value) {
    return value ? "yes" : "no";
}

}  // namespace

void check(const BatchNormOptions& options, Index channels) {
    const std::string layer = options.name.empty() ? "batch norm" : "batch norm '" + options.name + "'";
    if (channels < 1) throw UsageError(layer + ": needs at least one channel");
    if (channels > most_channels)
        throw UsageError(layer + ": " + std::to_string(channels) + " channels are more than the " +
                         std::to_string(most_channels) + " whose sums fit one message");
    if (!(options.epsilon > 0) || !std::isfinite(options.epsilon))
        throw UsageError(layer + ": epsilon must be a positive number (a constant channel would give 0/0)");
    if (options.momentum && !(*options.momentum >= 0 && *options.momentum <= 1))
        throw UsageError(layer + ": momentum must lie between 0 and 1, or be cumulative");
    if (options.frozen && !options.track_running_averages)
        throw UsageError(layer + ": a frozen layer needs running averages (track_running_averages is off)");
}

void check(const BatchShape& shape, Index channels, std::size_t value_bytes, const std::string& layer) {
    const auto fail = [&](const char* why) {
        throw UsageError("batch norm '" + layer + "': the shape (" + shape_text(shape) + ", " +
                         std::to_string(channels) + " channels) " + why);
    };
    if (shape.batch < 0 || shape.spatial < 0) fail("has a negative extent");
    // As many bytes as an array can have, also where one extent is 0: the others are still multiplied.
    Index rest = std::numeric_limits<Index>::max() / static_cast<Index>(value_bytes) / channels;
    for (const Index extent : {shape.batch, shape.spatial}) {
        if (extent > rest) fail("has more values than memory can hold");
        rest /= std::max<Index>(extent, 1);
    }
}

Settings settings_of(const BatchNormOptions& options, const ReplicaPlacement& placement, int ranks) {
    const int replicas = placement.replicas.value_or(ranks);
    return {{"name", options.name.empty() ? "(none)" : options.name},
            {"epsilon", shortest_text(options.epsilon)},
            {"activation", options.activation == Activation::relu ? "relu" : "none"},
            {"momentum", options.momentum ? shortest_text(*options.momentum) : "cumulative"},
            {"affine", yes_or_no(options.affine)},
            {"track_running_averages", yes_or_no(options.track_running_averages)},
            {"running_update", options.running_update == RunningUpdate::deferred ? "deferred" : "automatic"},
            {"frozen", yes_or_no(options.frozen)},
            {"replicas", std::to_string(replicas)},
            {"group", std::to_string(placement.group.value_or(replicas))}};
}

std::string shape_text(const BatchShape& shape) {
    return "batch " + std::to_string(shape.batch) + ", spatial " + std::to_string(shape.spatial) +
           (shape.order == ChannelOrder::first ? ", channels first" : ", channels last");
}

}  // namespace lockstep
