#include "text.hpp"

#include <charconv>
#include <cmath>

namespace lockstep {
namespace {

std::string to_text(double value, std::chars_format format, int precision) {
    if (!std::isfinite(value)) return "–";
    char text[400];
    const auto result = std::to_chars(text, text + sizeof text, value, format, precision);
    return {text, result.ptr};
}

}  // namespace

std::string fixed(double value, int decimals) {
    std::string text = to_text(value, std::chars_format::fixed, decimals);
    // What rounds to zero has no sign.
    if (text.starts_with("-") && text.find_first_not_of("-0.") == std::string::npos) text.erase(0, 1);
    return text;
}

std::string significant(double value, int digits) {
    return to_text(value, std::chars_format::general, digits);
}

std::string with_deviation(const Spread& spread, int decimals) {
    if (std::isnan(spread.deviation)) return fixed(spread.mean, decimals);
    return fixed(spread.mean, decimals) + " ± " + fixed(spread.deviation, decimals);
}

std::string duration(double seconds) {
    if (!std::isfinite(seconds)) return "–";
    if (seconds < 1e-3) return significant(seconds * 1e6, 3) + " µs";
    if (seconds < 1) return significant(seconds * 1e3, 3) + " ms";
    if (seconds < 10) return significant(seconds, 3) + " s";
    const auto whole = static_cast<long>(std::lround(seconds));
    if (whole < 60) return std::to_string(whole) + " s";
    if (whole < 3600) return std::to_string(whole / 60) + " min " + std::to_string(whole % 60) + " s";
    return std::to_string(whole / 3600) + " h " + std::to_string(whole % 3600 / 60) + " min";
}

std::string enumeration(const std::vector<std::string>& items) {
    std::string text;
    for (std::size_t i = 0; i < items.size(); ++i) {
        if (i > 0) text += i + 1 == items.size() ? " and " : ", ";
        text += items[i];
    }
    return text;
}

std::string capitalized(std::string text) {
    if (!text.empty() && text.front() >= 'a' && text.front() <= 'z')
        text.front() = static_cast<char>(text.front() - 'a' + 'A');
    return text;
}

}  // namespace lockstep
