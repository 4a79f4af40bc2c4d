#include <lockstep/train/batch_norm_mode.hpp>

#include <lockstep/base/error.hpp>

#include <charconv>
#include <cstdio>

namespace lockstep {
namespace {

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
    Number value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

}  // namespace

int BatchNormMode::group_size(int replicas) const {
    switch (scope) {
        case StatisticsScope::local:
            return 1;
        case StatisticsScope::group:
            return group;
        case StatisticsScope::sync:
            break;
    }
    return replicas;
}

std::string BatchNormMode::to_string() const {
    switch (scope) {
        case StatisticsScope::local:
            return "local";
        case StatisticsScope::group:
            return "group:" + std::to_string(group);
        case StatisticsScope::sync:
            break;
    }
    return "sync";
}

BatchNormMode BatchNormMode::parse(std::string_view text) {
    if (text == "sync") return {StatisticsScope::sync, 1};
    if (text == "local") return {StatisticsScope::local, 1};
    constexpr std::string_view prefix = "group:";
    if (text.starts_with(prefix)) {
        const auto size = parse_number<int>(text.substr(prefix.size()));
        if (size && *size >= 1) return {StatisticsScope::group, *size};
    }
    throw UsageError("bn: '" + std::string(text) +
                     "' is no mode; choose sync, local, or group:K with K replicas in a group");
}

std::optional<double> parse_running_momentum(std::string_view text) {
    if (text == "cumulative") return std::nullopt;
    const auto momentum = parse_number<double>(text);
    if (!momentum || !(*momentum >= 0 && *momentum <= 1))
        throw UsageError("bn-momentum: '" + std::string(text) +
                         "' is neither a number between 0 and 1 nor 'cumulative'");
    return momentum;
}

std::string running_momentum_to_string(std::optional<double> momentum) {
    if (!momentum) return "cumulative";
    char text[32];
    std::snprintf(text, sizeof text, "%.15g", *momentum);
    return text;
}

}  // namespace lockstep
