#include <lockstep/nn/model_parser.hpp>

#include "layer_kinds.hpp"

#include <lockstep/base/error.hpp>

#include <cctype>

namespace lockstep {
namespace {

constexpr int deepest_nesting = 100;

/// Recursive descent: sequence = layer {"," layer}; layer = word {word} ["{" sequence "}"].
class Parser {
  public:
    explicit Parser(std::string_view text) : text_(text) {}

    ModelDescription parse() {
        ModelDescription model = parse_sequence();
        if (position_ < text_.size()) fail(std::string("unexpected '") + text_[position_] + "'");
        return model;
    }

  private:
    ModelDescription parse_sequence() {
        ModelDescription layers;
        do {
            layers.push_back(parse_layer());
        } while (accept(','));
        return layers;
    }

    LayerDescription parse_layer() {
        LayerDescription layer;
        layer.kind = next_word();
        if (layer.kind.empty()) fail("a layer is missing");
        for (std::string word = next_word(); !word.empty(); word = next_word())
            layer.arguments.push_back(std::move(word));
        if (accept('{')) {
            // The parser calls itself, and a text must not be able to exhaust the stack.
            if (++depth_ > deepest_nesting)
                fail("braces nest more than " + std::to_string(deepest_nesting) + " deep");
            layer.body = parse_sequence();
            if (!accept('}')) fail("'}' is missing");
            --depth_;
        }
        return layer;
    }

    void skip_space() {
        while (position_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[position_])))
            ++position_;
    }

    std::string next_word() {
        skip_space();
        const std::size_t begin = position_;
        while (position_ < text_.size() && !std::isspace(static_cast<unsigned char>(text_[position_])) &&
               std::string_view(",{}").find(text_[position_]) == std::string_view::npos)
            ++position_;
        return std::string(text_.substr(begin, position_ - begin));
    }

    bool accept(char symbol) {
        skip_space();
        if (position_ >= text_.size() || text_[position_] != symbol) return false;
        ++position_;
        return true;
    }

    [[noreturn]] void fail(const std::string& what) const {
        constexpr std::size_t longest = 500;
        const std::string shown(text_.substr(0, longest));
        throw UsageError("model: " + what + " at character " + std::to_string(position_ + 1) + " of \"" +
                         shown + (text_.size() > longest ? "…" : "") +
                         "\"; layers are separated by commas, as in \"linear 300, relu\"");
    }

    std::string_view text_;
    std::size_t position_ = 0;
    int depth_ = 0;
};

}  // namespace

std::string LayerDescription::to_string() const {
    std::string text = kind;
    for (const std::string& argument : arguments) text += " " + argument;
    if (body.empty()) return text;
    text += " { ";
    for (std::size_t i = 0; i < body.size(); ++i) text += (i > 0 ? ", " : "") + body[i].to_string();
    return text + " }";
}

ModelDescription parse_model(std::string_view text) {
    return Parser(text).parse();
}

namespace {

std::string canonical(const ModelDescription& model, const std::string& prefix);

std::string canonical(LayerDescription layer, const std::string& name) {
    const LayerKind* const kind = find_layer_kind(layer.kind);
    if (kind != nullptr && kind->canonical_arguments)
        layer.arguments = kind->canonical_arguments(LayerArguments(layer, name));
    const ModelDescription body = std::move(layer.body);
    layer.body.clear();
    return layer.to_string() + (body.empty() ? "" : " { " + canonical(body, name + ".body.") + " }");
}

std::string canonical(const ModelDescription& model, const std::string& prefix) {
    std::string text;
    for (std::size_t i = 0; i < model.size(); ++i)
        text += (i > 0 ? ", " : "") + canonical(model[i], prefix + std::to_string(i));
    return text;
}

}  // namespace

std::string canonical_model(std::string_view text) {
    return canonical_model(parse_model(text));
}

std::string canonical_model(const ModelDescription& model) {
    return canonical(model, "");
}

}  // namespace lockstep
