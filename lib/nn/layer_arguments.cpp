#include <lockstep/nn/layer_arguments.hpp>

#include <algorithm>
#include <charconv>

namespace lockstep {
namespace {

constexpr Index largest_window = 255;

template <class Number>
bool read_whole(const std::string& text, Number& value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

LayerArguments::LayerArguments(const LayerDescription& description, std::string name)
    : description_(description), name_(std::move(name)), read_(description.arguments.size()) {}

void LayerArguments::expect(std::size_t least, std::size_t most, const std::string& what) const {
    if (count() < least || count() > most) fail("it takes " + what);
}

const std::string& LayerArguments::text(std::size_t i) const {
    if (i >= count()) fail("an argument is missing");
    read_[i] = true;
    return description_.arguments[i];
}

double LayerArguments::number(std::size_t i) const {
    double value = 0;
    if (!read_whole(text(i), value)) fail("'" + text(i) + "' is not a number");
    return value;
}

Index LayerArguments::whole_number_in(const std::string& text, const std::string& what, Index least,
                                      Index most) const {
    Index value = 0;
    if (!read_whole(text, value)) fail("'" + text + "' is not a number");
    if (value < least || value > most)
        fail(what + " must be between " + std::to_string(least) + " and " + std::to_string(most));
    return value;
}

Index LayerArguments::whole_number(std::size_t i, const std::string& what, Index least, Index most) const {
    return whole_number_in(text(i), what, least, most);
}

std::pair<Index, Index> LayerArguments::window(std::size_t i) const {
    const std::string& all = text(i);
    const std::size_t cross = all.find('x');
    const Index height = whole_number_in(all.substr(0, cross), "the window's height", 1, largest_window);
    if (cross == std::string::npos) return {height, height};
    return {height, whole_number_in(all.substr(cross + 1), "the window's width", 1, largest_window)};
}

bool LayerArguments::yes_or_no(std::size_t i) const {
    if (text(i) != "true" && text(i) != "false") fail("'" + text(i) + "' is neither true nor false");
    return text(i) == "true";
}

void LayerArguments::settings(std::size_t first, std::initializer_list<LayerSetting> known) const {
    std::vector<std::string_view> seen;
    for (std::size_t i = first; i < count(); i += 2) {
        const std::string& word = text(i);
        const auto setting = std::ranges::find(known, word, &LayerSetting::word);
        if (setting == known.end()) {
            std::string words;
            for (const LayerSetting& one : known)
                words += (words.empty()                         ? ""
                          : one.word == (known.end() - 1)->word ? " and "
                                                                : ", ") +
                         std::string(one.word);
            fail("unknown setting '" + word + "'; known are " + words);
        }
        if (std::ranges::find(seen, word) != seen.end()) fail("'" + word + "' is said twice");
        seen.push_back(setting->word);
        if (i + 1 == count()) fail("'" + word + "' needs a value");
        setting->read(i + 1);
    }
}

void LayerArguments::expect_all_read() const {
    for (std::size_t i = 0; i < count(); ++i)
        if (!read_[i])
            fail(i == 0 ? "it takes no argument" : "it does not take '" + description_.arguments[i] + "'");
}

void LayerArguments::fail(const std::string& what) const {
    throw LayerError("model, layer " + name_ + " ('" + description_.to_string() + "'): " + what);
}

}  // namespace lockstep
