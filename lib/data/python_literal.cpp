#include "python_literal.hpp"

#include <algorithm>
#include <charconv>
#include <stdexcept>
#include <system_error>

namespace lockstep {

bool PythonLiteral::next_is(char symbol) {
    position_ = std::min(text_.find_first_not_of(" \t\r\n", position_), text_.size());
    return position_ < text_.size() && text_[position_] == symbol;
}

bool PythonLiteral::accept(char symbol) {
    const bool found = next_is(symbol);
    if (found) ++position_;
    return found;
}

void PythonLiteral::expect(char symbol) {
    if (!accept(symbol)) fail(std::string("'") + symbol + "'");
}

void PythonLiteral::expect_end() {
    next_is(' ');  // passes what is white
    if (position_ != text_.size()) fail("its end");
}

std::string PythonLiteral::read_string() {
    const char quote = next_is('"') ? '"' : '\'';
    expect(quote);
    const std::size_t end = text_.find(quote, position_);
    if (end == std::string_view::npos) fail("a text in quotes");
    const std::string_view text = text_.substr(position_, end - position_);
    position_ = end + 1;
    for (const char symbol : text)
        if (symbol < ' ' || symbol > '~' || symbol == '\\') fail("plain text in quotes");
    return std::string(text);
}

bool PythonLiteral::read_bool() {
    next_is(' ');
    for (const bool value : {false, true}) {
        const std::string_view word = value ? "True" : "False";
        if (!text_.substr(position_).starts_with(word)) continue;
        position_ += word.size();
        return value;
    }
    fail("True or False");
}

std::vector<Index> PythonLiteral::read_tuple() {
    std::vector<Index> numbers;
    expect('(');
    while (!accept(')')) {
        numbers.push_back(read_number());
        if (!accept(',') && (numbers.size() == 1 || !next_is(')'))) fail("','");
    }
    return numbers;
}

Index PythonLiteral::read_number() {
    if (next_is('-'))
        throw std::invalid_argument("its header is damaged: it announces a negative number of values");
    Index number = 0;
    const char* const begin = text_.data() + position_;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), number);
    if (error == std::errc::result_out_of_range)
        throw std::invalid_argument("its header is damaged: it announces more values than any file can hold");
    if (error != std::errc()) fail("a number");
    position_ += static_cast<std::size_t>(end - begin);
    if (position_ < text_.size() && text_[position_] == 'L') ++position_;
    return number;
}

void PythonLiteral::fail(const std::string& expected) const {
    throw std::invalid_argument("its header is damaged: at character " + std::to_string(position_) + " " +
                                expected + " was expected");
}

}  // namespace lockstep
