#include "option_text.hpp"

#include <cstdio>

namespace lockstep::launch {
namespace {

namespace fs = std::filesystem;

fs::path make_absolute(const std::string& text) {
    if (text.empty()) return {};
    const fs::path whole = fs::absolute(text);
    // After a symbolic link ".." is not the folder before it.
    return std::ranges::find(whole, "..") == whole.end() ? whole.lexically_normal() : whole;
}

TextForm<fs::path> path_form(std::function<fs::path(const std::string&)> read) {
    return {"PATH", std::move(read), [](const fs::path& path) { return path.string(); }};
}

}  // namespace

std::string to_text(double value) {
    char text[40];
    for (int digits = 6; digits <= 17; ++digits) {
        std::snprintf(text, sizeof text, "%.*g", digits, value);
        if (std::stod(text) == value) break;
    }
    return text;
}

TextForm<bool> true_or_false() {
    const auto read = [](const std::string& text) {
        if (text == "true") return true;
        if (text == "false") return false;
        throw UsageError("'" + text + "' is neither true nor false");
    };
    return {"true|false", read, [](bool value) { return std::string(value ? "true" : "false"); }};
}

TextForm<fs::path> path_as_given() {
    return path_form([](const std::string& text) { return fs::path(text); });
}

TextForm<fs::path> absolute_path() {
    return path_form(make_absolute);
}

std::vector<std::string> split_list(const std::string& list) {
    std::vector<std::string> items;
    for (std::size_t begin = 0; begin <= list.size();) {
        const std::size_t comma = std::min(list.find(',', begin), list.size());
        std::string item = list.substr(begin, comma - begin);
        item.erase(0, item.find_first_not_of(' '));
        item.erase(item.find_last_not_of(' ') + 1);
        if (item.empty()) throw UsageError("'" + list + "' is not a list of values with commas between");
        if (std::ranges::find(items, item) != items.end()) throw UsageError(item + " is there twice");
        items.push_back(std::move(item));
        begin = comma + 1;
    }
    return items;
}

}  // namespace lockstep::launch
