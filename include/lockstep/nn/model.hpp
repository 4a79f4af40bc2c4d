/// A model: which layers a network has, in C++ or as a text. Both are the same model, and what is written of it to
/// files is the text.
///
///     auto model = lockstep::Model::dense(12).batch_norm().linear(64).gelu().add<Scale>(0.5).linear(1);
///     lockstep::Model same = "batchnorm, linear 64, gelu, scale 0.5, linear 1";
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/base/settings.hpp>
#include <lockstep/base/shape.hpp>
#include <lockstep/nn/batch_norm.hpp>
#include <lockstep/nn/layer_registry.hpp>
#include <lockstep/nn/model_parser.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <typeinfo>
#include <vector>

namespace lockstep {

/// The extent of a convolution's kernel or a pool's window: `3`, or `{3, 5}`.
struct WindowSize {
    WindowSize(Index side) : height(side), width(side) {}
    WindowSize(Index rows, Index columns) : height(rows), width(columns) {}

    Index height, width;
};

/// How windows lie: `{.stride = 2, .pad = 1}`.
struct WindowSteps {
    std::optional<Index> stride =
        {};         ///< a convolution's is 1 where none is given, a pool's its window's height
    Index pad = 0;  ///< on each side
};

/// A value: each function returns a new model with one layer more, and changes nothing. Whether layers and their
/// arguments fit is found when a network is built.
class LOCKSTEP_EXPORT Model {
  public:
    /// Without layers: the body of a residual block, say.
    Model() = default;
    /// Throws UsageError where the syntax is broken: see model_parser.hpp.
    Model(std::string_view text) : layers_(parse_model(text)) {}
    Model(const std::string& text) : Model(std::string_view(text)) {}
    Model(const char* text) : Model(std::string_view(text)) {}
    Model(ModelDescription layers) : layers_(std::move(layers)) {}

    /// For flat samples.
    static Model dense(Index features);
    /// For images, channels-last.
    static Model images(Index height, Index width, Index channels);

    Model linear(Index outputs) const;
    Model conv(Index channels, WindowSize kernel, WindowSteps steps = {}) const;
    Model max_pool(WindowSize window, WindowSteps steps = {}) const;
    Model average_pool(WindowSize window, WindowSteps steps = {}) const;
    Model global_average_pool() const;
    Model flatten() const;
    Model dropout(double probability) const;
    /// Throws UsageError where the settings have a momentum and are cumulative.
    Model batch_norm(const BatchNormSettings& settings = {}) const;
    /// x + body(x); see residual.hpp.
    Model residual(const Model& body) const;
    /// The same, and begins as the identity: γ of the body's last batch norm starts from 0.
    Model residual_from_identity(const Model& body) const;

    Model relu() const;
    Model leaky_relu(double slope = 0.01) const;
    Model elu(double alpha = 1) const;
    Model gelu() const;
    Model gelu_tanh() const;
    Model silu() const;
    Model tanh() const;
    Model sigmoid() const;
    Model softplus() const;
    Model identity() const;

    /// A layer template that register_layer<Made>(word) has registered, with its numbers. Throws UsageError where
    /// none has.
    template <template <class> class Made, class... Numbers>
    Model add(Numbers... numbers) const {
        return with(registered_word(typeid(Made<double>)), {shortest_text(static_cast<double>(numbers))...});
    }
    /// The layers of a text.
    Model text(std::string_view more) const;

    /// The samples that it is for, where that was said.
    const std::optional<Shape>& input() const { return input_; }
    const ModelDescription& layers() const { return layers_; }
    /// The canonical text of the layers. Throws LayerError where settings are wrong.
    std::string to_string() const { return canonical_model(layers_); }

  private:
    Model with(std::string word, std::vector<std::string> arguments = {}, ModelDescription body = {}) const;

    std::optional<Shape> input_;
    ModelDescription layers_;
};

}  // namespace lockstep
