#include <lockstep/comm/exchange_label.hpp>

#include <algorithm>
#include <cstring>

namespace lockstep {
namespace {

const char* name_of(ExchangeKind kind) {
    switch (kind) {
        case ExchangeKind::forward_moments:
            return "forward";
        case ExchangeKind::backward_sums:
            return "backward";
        case ExchangeKind::pooled_moments:
            return "pooled moments";
        case ExchangeKind::step_summary:
            return "step summary";
        case ExchangeKind::running_averages:
            return "running averages";
    }
    return "unknown exchange";
}

}  // namespace

ExchangeLabel::ExchangeLabel(std::string_view name, ExchangeKind which, std::int64_t channel_count, int bytes)
    : channels(channel_count), kind(which), scalar_bytes(static_cast<std::uint16_t>(bytes)) {
    // The last byte stays 0: the name can be read as a C string whatever arrives.
    std::memcpy(layer.data(), name.data(), std::min(name.size(), layer.size() - 1));
}

std::string ExchangeLabel::to_string() const {
    const std::string name(layer.data(), strnlen(layer.data(), layer.size()));
    std::string text = name.empty() ? std::string(name_of(kind)) : "layer '" + name + "' " + name_of(kind);
    text += ", call " + std::to_string(call) + ", " + std::to_string(channels) + " channels";
    if (scalar_bytes == 4) text += ", float";
    if (scalar_bytes == 8) text += ", double";
    return text;
}

}  // namespace lockstep
