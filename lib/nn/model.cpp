#include <lockstep/nn/model.hpp>

#include "batch_norm_text.hpp"

#include <lockstep/base/error.hpp>

#include <utility>

namespace lockstep {
namespace {

std::string window_text(const WindowSize& window) {
    return std::to_string(window.height) + "x" + std::to_string(window.width);
}

void add_steps(std::vector<std::string>& arguments, const WindowSteps& steps) {
    if (steps.stride) arguments.insert(arguments.end(), {"stride", std::to_string(*steps.stride)});
    if (steps.pad != 0) arguments.insert(arguments.end(), {"pad", std::to_string(steps.pad)});
}

std::vector<std::string> pool_arguments(const WindowSize& window, const WindowSteps& steps) {
    std::vector<std::string> arguments = {window_text(window)};
    add_steps(arguments, steps);
    return arguments;
}

}  // namespace

Model Model::dense(Index features) {
    return images(1, 1, features);
}

Model Model::images(Index height, Index width, Index channels) {
    if (height < 1 || width < 1 || channels < 1)
        throw UsageError("model: samples need at least one value along every axis");
    Model model;
    model.input_ = Shape{height, width, channels};
    return model;
}

Model Model::with(std::string word, std::vector<std::string> arguments, ModelDescription body) const {
    Model model = *this;
    model.layers_.push_back({std::move(word), std::move(arguments), std::move(body)});
    return model;
}

Model Model::text(std::string_view more) const {
    Model model = *this;
    for (LayerDescription& layer : parse_model(more)) model.layers_.push_back(std::move(layer));
    return model;
}

Model Model::linear(Index outputs) const {
    return with("linear", {std::to_string(outputs)});
}
Model Model::conv(Index channels, WindowSize kernel, WindowSteps steps) const {
    std::vector<std::string> arguments = {std::to_string(channels), window_text(kernel)};
    add_steps(arguments, steps);
    return with("conv", std::move(arguments));
}
Model Model::max_pool(WindowSize window, WindowSteps steps) const {
    return with("maxpool", pool_arguments(window, steps));
}
Model Model::average_pool(WindowSize window, WindowSteps steps) const {
    return with("avgpool", pool_arguments(window, steps));
}
Model Model::global_average_pool() const {
    return with("global-average-pool");
}
Model Model::flatten() const {
    return with("flatten");
}
Model Model::dropout(double probability) const {
    return with("dropout", {shortest_text(probability)});
}
Model Model::batch_norm(const BatchNormSettings& settings) const {
    if (settings.momentum && settings.cumulative)
        throw UsageError("model: batch_norm takes a momentum or is cumulative, not both");
    return with("batchnorm", batch_norm_arguments(settings));
}
Model Model::residual(const Model& body) const {
    return with("residual", {}, body.layers_);
}
Model Model::residual_from_identity(const Model& body) const {
    return with("residual", {"zero-gamma"}, body.layers_);
}

Model Model::relu() const {
    return with("relu");
}
Model Model::leaky_relu(double slope) const {
    return with("leaky-relu", {shortest_text(slope)});
}
Model Model::elu(double alpha) const {
    return with("elu", {shortest_text(alpha)});
}
Model Model::gelu() const {
    return with("gelu");
}
Model Model::gelu_tanh() const {
    return with("gelu", {"tanh"});
}
Model Model::silu() const {
    return with("silu");
}
Model Model::tanh() const {
    return with("tanh");
}
Model Model::sigmoid() const {
    return with("sigmoid");
}
Model Model::softplus() const {
    return with("softplus");
}
Model Model::identity() const {
    return with("identity");
}

}  // namespace lockstep
