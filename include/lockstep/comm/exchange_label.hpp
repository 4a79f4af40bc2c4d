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
    agreement = 6,  ///< ranks compare their settings
    gather = 7,     ///< … or are about to send each other what they have
    split = 8,      ///< … or to split their communicator
};

/// Sent in front of every message of a TreeExchange; the same on every rank or it is an error.
struct LOCKSTEP_EXPORT ExchangeLabel {
    ExchangeLabel() = default;
    /// `name` says who exchanges: the layer, say. Names of any length are told apart. `scalar_bytes` is the
    /// size of the layer's value type, 0 if there is none.
    ExchangeLabel(std::string_view name, ExchangeKind kind, std::int64_t channels, int scalar_bytes);

    /// The number of the call: each layer and kind counts its own.
    std::uint64_t call = 0;
    std::int64_t channels = 0;
    std::uint64_t name_hash = 0;
    ExchangeKind kind{};
    std::uint16_t scalar_bytes = 0;
    /// The name for reading; of a long one the beginning and the end.
    std::array<char, 36> name{};

    /// "layer 'bn1' forward, call 17, 300 channels, float"
    std::string to_string() const;

    friend bool operator==(const ExchangeLabel&, const ExchangeLabel&) = default;
};
static_assert(sizeof(ExchangeLabel) == 64, "the label is sent as it is: one cache line, no padding");

}  // namespace lockstep
