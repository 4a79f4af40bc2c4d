/// How the values of options are read from text and written as text.
#pragma once

#include <lockstep/base/error.hpp>

#include <algorithm>
#include <charconv>
#include <concepts>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace lockstep::launch {

/// Reading what was written gives the same value. `read` throws UsageError, saying what the text is not; the
/// table puts the option's name before that.
template <class T>
struct TextForm {
    std::string placeholder;  ///< what --help calls the value
    std::function<T(const std::string&)> read;
    std::function<std::string(const T&)> write;
};

/// The shortest text that reads back as the same number, with an exponent only where printf's %g has one.
std::string to_text(double value);
std::string to_text(std::integral auto value) {
    return std::to_string(value);
}
inline std::string to_text(const std::string& value) {
    return value;
}
/// Nothing stands for a value that is not given.
template <class T>
std::string to_text(const std::optional<T>& value) {
    return value ? to_text(*value) : "";
}

TextForm<bool> true_or_false();

/// A path as it is given.
TextForm<std::filesystem::path> path_as_given();
/// A path that means the same in every working directory.
TextForm<std::filesystem::path> absolute_path();

/// A type of the library, from its parse function and its to_string.
template <class T>
TextForm<T> library_text(T (*parse)(std::string_view)) {
    return {"NAME", parse, [](const T& value) {
                if constexpr (requires { value.to_string(); })
                    return value.to_string();
                else
                    return std::string(to_string(value));
            }};
}

/// A whole number from `least` to the largest of its type. By hand: a stream reads -1 as 2⁶⁴ − 1.
template <std::integral T>
TextForm<T> whole_number(T least) {
    const auto read = [least](const std::string& text) {
        T value{};
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (error != std::errc() || end != text.data() + text.size() || value < least)
            throw UsageError("'" + text + "' is not a whole number from " + std::to_string(least) + " to " +
                             std::to_string(std::numeric_limits<T>::max()));
        return value;
    };
    return {"N", read, [](const T& value) { return std::to_string(value); }};
}

/// One of a few names.
template <class T>
TextForm<T> one_of(std::vector<std::pair<std::string, T>> choices) {
    const auto read = [choices](const std::string& text) {
        std::string names;
        for (const auto& [name, value] : choices) {
            if (name == text) return value;
            names += (names.empty() ? "" : ", ") + name;
        }
        throw UsageError("'" + text + "' is unknown: choose one of " + names);
    };
    const auto write = [choices](const T& value) {
        return std::ranges::find(choices, value, &std::pair<std::string, T>::second)->first;
    };
    return {"NAME", read, write};
}

/// The items of a list with commas between. Throws UsageError if one is empty or there twice.
std::vector<std::string> split_list(const std::string& list);

/// Values with commas between, each once.
template <class T>
TextForm<std::vector<T>> list_of(TextForm<T> item) {
    const auto read = [item](const std::string& text) {
        std::vector<T> values;
        for (const std::string& one : split_list(text)) values.push_back(item.read(one));
        return values;
    };
    const auto write = [item](const std::vector<T>& values) {
        std::string text;
        for (const T& value : values) text += (text.empty() ? "" : ",") + item.write(value);
        return text;
    };
    return {item.placeholder + ",...", read, write};
}

}  // namespace lockstep::launch
