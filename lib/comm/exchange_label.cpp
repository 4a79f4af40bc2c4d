#include <lockstep/comm/exchange_label.hpp>

#include <lockstep/base/hash.hpp>

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
        case ExchangeKind::agreement:
            return "agreement";
        case ExchangeKind::gather:
            return "gathering";
        case ExchangeKind::split:
            return "splitting a communicator";
    }
    return "unknown exchange";
}

/// Whether a layer is who exchanges, which then has a type and channels.
bool is_of_a_layer(ExchangeKind kind) {
    return kind != ExchangeKind::step_summary && kind != ExchangeKind::agreement &&
           kind != ExchangeKind::gather && kind != ExchangeKind::split;
}

bool continues_a_character(char c) {  // of UTF-8
    return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U;
}

std::string_view without_partial_head(std::string_view text) {
    while (!text.empty() && continues_a_character(text.front())) text.remove_prefix(1);
    return text;
}

std::string_view without_partial_tail(std::string_view whole, std::size_t length) {
    while (length > 0 && continues_a_character(whole[length])) --length;
    return whole.substr(0, length);
}

}  // namespace

ExchangeLabel::ExchangeLabel(std::string_view who, ExchangeKind which, std::int64_t channel_count, int bytes)
    : channels(channel_count), kind(which), scalar_bytes(static_cast<std::uint16_t>(bytes)) {
    Hash64 hash;
    hash.add(who);
    name_hash = hash.value();
    // The last byte stays 0: the name can be read as a C string whatever arrives.
    const std::size_t room = name.size() - 1;
    std::string shown(who);
    if (who.size() > room) {
        // Long names often differ at their end alone.
        constexpr std::string_view gap = "...";
        const std::size_t head = (room - gap.size()) / 2, tail = room - gap.size() - head;
        shown = without_partial_tail(who, head);
        shown += gap;
        shown += without_partial_head(who.substr(who.size() - tail));
    }
    std::memcpy(name.data(), shown.data(), shown.size());
}

std::string ExchangeLabel::to_string() const {
    const std::string who(name.data(), strnlen(name.data(), name.size()));
    std::string text = name_of(kind);
    if (is_of_a_layer(kind) && !who.empty())
        text = "layer '" + who + "' " + text;
    else if (!who.empty())
        text += " (" + who + ")";
    text += ", call " + std::to_string(call);
    if (is_of_a_layer(kind)) text += ", " + std::to_string(channels) + " channels";
    if (scalar_bytes == 4) text += ", float";
    if (scalar_bytes == 8) text += ", double";
    return text;
}

}  // namespace lockstep
