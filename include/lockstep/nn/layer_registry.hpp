/// The words of model texts, and who makes the layers that they stand for. The built-in layers are registered like
/// those of users:
///
///     template <class Scalar>
///     class Scale final : public lockstep::Layer<Scalar> {
///       public:
///         Scale(lockstep::Shape shape, double factor);
///         …
///     };
///     lockstep::register_layer<Scale>("scale");     // "linear 64, scale 0.5, relu", or model.add<Scale>(0.5)
///
/// Register before the first model that uses the word, in every program that reads such a model, on all ranks. Any
/// thread may register and build networks at any time; a word is registered once and stays.
#pragma once

#include <lockstep/base/settings.hpp>
#include <lockstep/nn/batch_norm.hpp>
#include <lockstep/nn/layer_arguments.hpp>
#include <lockstep/nn/sequence.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <typeindex>
#include <utility>
#include <vector>

namespace lockstep {

/// What a kind of layer takes. A network none of whose layers takes images gets its samples flat.
enum class LayerInput { flat, images, either };

/// What a maker knows of the layer that it makes: the arguments in the model text, and what stands around it.
template <class Scalar>
class LayerContext : public LayerArguments {
  public:
    /// Makes the layers in braces for a shape, named after a prefix.
    using MakeSequence = std::function<std::unique_ptr<Sequence<Scalar>>(Shape, const std::string& prefix)>;

    LayerContext(LayerArguments arguments, Shape input, std::string next, int earlier_of_kind,
                 const BatchNormSetup& batch_norm, MakeSequence make_body)
        : LayerArguments(std::move(arguments)),
          input_(input),
          next_(std::move(next)),
          earlier_of_kind_(earlier_of_kind),
          batch_norm_(batch_norm),
          make_body_(std::move(make_body)) {}

    /// The shape of a sample, as the layer before gives it.
    const Shape& input() const { return input_; }
    /// The word of the layer that follows in the same sequence; empty after the last.
    const std::string& next() const { return next_; }
    /// How many layers of this kind the network has before this one.
    int earlier_of_kind() const { return earlier_of_kind_; }
    const BatchNormSetup& batch_norm() const { return batch_norm_; }
    /// The layers in braces, named `name`.body.0 and so on. Who does not call it takes none.
    std::unique_ptr<Sequence<Scalar>> make_body() const {
        has_made_body_ = true;
        return make_body_(input_, this->name() + ".body.");
    }
    bool has_made_body() const { return has_made_body_; }

  private:
    Shape input_;
    std::string next_;
    int earlier_of_kind_;
    const BatchNormSetup& batch_norm_;
    MakeSequence make_body_;
    mutable bool has_made_body_ = false;
};

template <class Scalar>
using LayerMaker = std::function<std::unique_ptr<Layer<Scalar>>(const LayerContext<Scalar>&)>;

/// Everything about a word.
struct LayerKind {
    std::string word;
    LayerInput input = LayerInput::either;
    LayerMaker<float> make_float;
    LayerMaker<double> make_double;
    /// The arguments as canonical_model writes them; without it as they stand.
    std::function<std::vector<std::string>(const LayerArguments&)> canonical_arguments = {};
    /// What Model::add finds the word by.
    std::optional<std::type_index> type = {};
};

/// Throws UsageError where the word is taken, or could not stand in a model text.
LOCKSTEP_EXPORT void register_layer(LayerKind kind);

/// `make` takes a LayerContext<float> or a LayerContext<double> and returns a std::unique_ptr to a layer of that
/// type: `[]<class Scalar>(const LayerContext<Scalar>& layer) { return std::make_unique<…<Scalar>>(…); }`.
template <class Make>
void register_layer(const std::string& word, LayerInput input, Make make) {
    register_layer(LayerKind{.word = word, .input = input, .make_float = make, .make_double = make});
}

/// The word that a layer template was registered under. Throws UsageError where it was not.
LOCKSTEP_EXPORT const std::string& registered_word(std::type_index type);

namespace detail {

/// Numbers from the arguments, as many as there are of Number.
template <class Made, class Scalar, std::size_t... Number>
std::unique_ptr<Layer<Scalar>> make_from_numbers(const LayerContext<Scalar>& layer,
                                                 std::index_sequence<Number...>) {
    if constexpr (std::is_constructible_v<Made, Shape, decltype(double(Number))...>)
        return std::make_unique<Made>(layer.input(), layer.number(Number)...);
    else
        layer.fail("it does not take " + std::to_string(sizeof...(Number)) + " arguments");
}

inline std::vector<std::string> shortest_numbers(const LayerArguments& layer) {
    std::vector<std::string> numbers;
    for (std::size_t i = 0; i < layer.count(); ++i) numbers.push_back(shortest_text(layer.number(i)));
    return numbers;
}

}  // namespace detail

/// Registers a layer template that is made from the shape of its input and the numbers behind its word.
template <template <class> class Made>
void register_layer(const std::string& word, LayerInput input = LayerInput::either) {
    const auto make = []<class Scalar>(const LayerContext<Scalar>& layer) -> std::unique_ptr<Layer<Scalar>> {
        using detail::make_from_numbers;
        layer.expect(0, 4, "at most 4 arguments");
        switch (layer.count()) {
            case 0:
                return make_from_numbers<Made<Scalar>>(layer, std::make_index_sequence<0>());
            case 1:
                return make_from_numbers<Made<Scalar>>(layer, std::make_index_sequence<1>());
            case 2:
                return make_from_numbers<Made<Scalar>>(layer, std::make_index_sequence<2>());
            case 3:
                return make_from_numbers<Made<Scalar>>(layer, std::make_index_sequence<3>());
            default:
                return make_from_numbers<Made<Scalar>>(layer, std::make_index_sequence<4>());
        }
    };
    register_layer(LayerKind{.word = word,
                             .input = input,
                             .make_float = make,
                             .make_double = make,
                             .canonical_arguments = detail::shortest_numbers,
                             .type = std::type_index(typeid(Made<double>))});
}

}  // namespace lockstep
