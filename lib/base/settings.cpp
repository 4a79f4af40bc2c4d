#include <lockstep/base/settings.hpp>

#include <algorithm>
#include <charconv>
#include <functional>

namespace lockstep {
namespace {

constexpr char value_separator = '\x1f';
constexpr char record_separator = '\x1e';
constexpr const char* not_set = "(not set)";

const std::string* find(const Settings& settings, const std::string& name) {
    const auto found = std::ranges::find(settings, name, &Settings::value_type::first);
    return found == settings.end() ? nullptr : &found->second;
}

void append(std::string& text, std::string_view part, char end) {
    for (const char c : part) text += c == value_separator || c == record_separator ? ' ' : c;
    text += end;
}

}  // namespace

std::vector<SettingDifference> differences(const Settings& left, const Settings& right) {
    std::vector<SettingDifference> found;
    for (const auto& [name, value] : left) {
        const std::string* const other = find(right, name);
        if (other == nullptr)
            found.push_back({name, value, not_set});
        else if (*other != value)
            found.push_back({name, value, *other});
    }
    for (const auto& [name, value] : right)
        if (find(left, name) == nullptr) found.push_back({name, not_set, value});
    return found;
}

std::string changes_text(const Settings& before, const Settings& now) {
    std::vector<SettingDifference> changes = differences(before, now);
    const auto in_both = [](const SettingDifference& one) {
        return one.left != not_set && one.right != not_set;
    };
    if (std::ranges::any_of(changes, in_both)) std::erase_if(changes, std::not_fn(in_both));
    std::string text;
    for (const SettingDifference& one : changes)
        text += (text.empty() ? "" : "; ") + one.name + " was " + one.left + ", and is " + one.right;
    return text;
}

std::string serialize(const Settings& settings) {
    std::string text;
    for (const auto& [name, value] : settings) {
        append(text, name, value_separator);
        append(text, value, record_separator);
    }
    return text;
}

Settings parse_settings(std::string_view text) {
    Settings settings;
    while (!text.empty()) {
        const std::string_view record = text.substr(0, text.find(record_separator));
        text.remove_prefix(std::min(text.size(), record.size() + 1));
        const std::string_view name = record.substr(0, record.find(value_separator));
        const std::string_view value = record.substr(std::min(record.size(), name.size() + 1));
        settings.emplace_back(name, value);
    }
    return settings;
}

std::string shortest_text(double value) {
    char text[40];
    const auto [end, error] = std::to_chars(text, text + sizeof text, value);
    return {text, end};
}

}  // namespace lockstep
