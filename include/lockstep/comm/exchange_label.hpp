/// What every exchanged message says about itself, so that ranks that disagree find out on arrival.
#pragma once

#include <lockstep/base/export.hpp>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace lockstep {

enum class ExchangeKind : std::uint16_t {
    forward_moments = 1,
    backward_sums = 2,
    pooled_moments = 3,
    step_summary = 4,
    running_averages = 5,
};

/// Sent in front of every message of a TreeExchange; alike on all ranks or it is an error.
struct LOCKSTEP_EXPORT ExchangeLabel {
    ExchangeLabel() = default;
    /// A name that is too long is cut. `scalar_bytes` is the size of the layer's value type, 0 where there is
    /// none.
    ExchangeLabel(std::string_view layer, ExchangeKind kind, std::int64_t channels, int scalar_bytes);

    /// The number of the call: each layer and kind counts its own.
    std::uint64_t call = 0;
    std::int64_t channels = 0;
    ExchangeKind kind{};
    std::uint16_t scalar_bytes = 0;
    std::array<char, 44> layer{};

    /// "layer 'bn1' forward, call 17, 300 channels, float"
    std::string to_string() const;

    friend bool operator==(const ExchangeLabel&, const ExchangeLabel&) = default;
};
static_assert(sizeof(ExchangeLabel) == 64, "the label is sent as it is: one cache line, no padding");

}  // namespace lockstep
