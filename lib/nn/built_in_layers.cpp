// How the layers of the library are made from model texts.
#include "batch_norm_text.hpp"
#include "layer_kinds.hpp"

#include <lockstep/base/settings.hpp>
#include <lockstep/nn/activation.hpp>
#include <lockstep/nn/conv2d.hpp>
#include <lockstep/nn/dropout.hpp>
#include <lockstep/nn/flatten.hpp>
#include <lockstep/nn/linear.hpp>
#include <lockstep/nn/pooling.hpp>
#include <lockstep/nn/residual.hpp>

#include <tuple>

namespace lockstep {
namespace {

constexpr Index largest_width = 10'000'000;
constexpr Index largest_step = 255;

template <class Scalar>
using LayerPointer = std::unique_ptr<Layer<Scalar>>;

template <class Scalar>
LayerPointer<Scalar> make_linear(const LayerContext<Scalar>& layer) {
    layer.expect(1, 1, "the number of outputs, as in 'linear 300'");
    const Index outputs = layer.whole_number(0, "the number of outputs", 1, largest_width);
    return std::make_unique<Linear<Scalar>>(layer.input(), outputs);
}

template <class Scalar>
LayerPointer<Scalar> make_dropout(const LayerContext<Scalar>& layer) {
    layer.expect(1, 1, "the probability of dropping, as in 'dropout 0.1'");
    return std::make_unique<Dropout<Scalar>>(layer.input(), layer.number(0), layer.earlier_of_kind());
}

/// "stride 2 pad 1", in either order, from argument `first` on.
template <class Options>
void read_steps(const LayerArguments& layer, std::size_t first, Options& options) {
    layer.settings(
        first,
        {{"stride",
          [&](std::size_t i) { options.stride = layer.whole_number(i, "the stride", 1, largest_step); }},
         {"pad", [&](std::size_t i) { options.pad = layer.whole_number(i, "the pad", 0, largest_step); }}});
}

template <class Scalar>
LayerPointer<Scalar> make_conv(const LayerContext<Scalar>& layer) {
    layer.expect(2, 6, "the channels and the kernel, as in 'conv 16 3x3 pad 1'");
    Conv2dOptions options;
    options.outputs = layer.whole_number(0, "the number of channels", 1, largest_width);
    std::tie(options.kernel_height, options.kernel_width) = layer.window(1);
    read_steps(layer, 2, options);
    options.bias = layer.next() != "batchnorm";  // which subtracts whatever a bias had added
    return std::make_unique<Conv2d<Scalar>>(layer.input(), options);
}

template <template <class> class Pool, class Scalar>
LayerPointer<Scalar> make_pool(const LayerContext<Scalar>& layer) {
    const std::string& word = layer.description().kind;
    layer.expect(1, 5, "the window, as in '" + word + " 2'");
    PoolOptions options;
    std::tie(options.kernel_height, options.kernel_width) = layer.window(0);
    options.stride = options.kernel_height;
    if (options.kernel_height != options.kernel_width && layer.count() < 2)
        layer.fail("a window that is not square needs a stride, as in '" + word + " 3x2 stride 2'");
    read_steps(layer, 1, options);
    return std::make_unique<Pool<Scalar>>(layer.input(), options);
}

template <class Scalar>
LayerPointer<Scalar> make_batch_norm(const LayerContext<Scalar>& layer) {
    return std::make_unique<BatchNorm<Scalar>>(
        layer.input(), layer.batch_norm().communicator,
        batch_norm_options(read_batch_norm_settings(layer), layer.batch_norm()),
        layer.batch_norm().placement);
}

/// The identity (null), or a 1×1 convolution and a batch norm that give `output`.
template <class Scalar>
std::unique_ptr<Sequence<Scalar>> make_shortcut(const LayerContext<Scalar>& layer, Shape output) {
    const Shape& input = layer.input();
    if (input == output) return nullptr;
    Conv2dOptions options{.outputs = output.channels, .kernel_height = 1, .kernel_width = 1, .bias = false};
    const auto extent_after = [&](Index extent) { return (extent - 1) / options.stride + 1; };
    while (options.stride < input.height && extent_after(input.height) > output.height) ++options.stride;
    if (extent_after(input.height) != output.height || extent_after(input.width) != output.width)
        layer.fail("no stride takes the shortcut from " + input.to_string() + " to the " +
                   output.to_string() + " that the layers in braces give");
    std::vector<LayerPointer<Scalar>> layers;
    layers.push_back(std::make_unique<Conv2d<Scalar>>(input, options));
    layers.push_back(std::make_unique<BatchNorm<Scalar>>(output, layer.batch_norm().communicator,
                                                         batch_norm_options({}, layer.batch_norm()),
                                                         layer.batch_norm().placement));
    return std::make_unique<Sequence<Scalar>>(std::move(layers));
}

template <class Scalar>
LayerPointer<Scalar> make_residual(const LayerContext<Scalar>& layer) {
    const bool zero_gamma = layer.count() == 1 && layer.text(0) == "zero-gamma";
    if (layer.description().body.empty() || layer.count() != (zero_gamma ? 1 : 0))
        layer.fail(
            "it takes layers in braces, as in 'residual { conv 16 3x3 pad 1, batchnorm }' or 'residual "
            "zero-gamma { … }'");
    auto body = layer.make_body();
    if (zero_gamma) {
        std::vector<BatchNorm<Scalar>*> norms;
        body->collect_batch_norms(norms);
        if (norms.empty() || !norms.back()->affine())
            layer.fail("zero-gamma needs a batchnorm in the braces, the last of them with weights");
        norms.back()->set_initial_gamma(0);
    }
    auto shortcut = make_shortcut(layer, body->output_shape());
    return std::make_unique<Residual<Scalar>>(std::move(body), std::move(shortcut));
}

/// "leaky-relu", "leaky-relu 0.2".
std::optional<double> read_activation_argument(const LayerArguments& layer, ActivationKind kind) {
    const auto usual = default_argument(kind);
    if (!usual) return {};
    const std::string& word = layer.description().kind;
    layer.expect(0, 1, "one number at most, as in '" + word + " " + shortest_text(*usual) + "'");
    return layer.count() == 1 ? layer.number(0) : *usual;
}

LayerKind activation(const std::string& word, ActivationKind kind) {
    const auto make = [kind]<class Scalar>(const LayerContext<Scalar>& layer) -> LayerPointer<Scalar> {
        return std::make_unique<ActivationLayer<Scalar>>(layer.input(), kind,
                                                         read_activation_argument(layer, kind));
    };
    const auto canonical = [kind](const LayerArguments& layer) -> std::vector<std::string> {
        if (!default_argument(kind)) return layer.description().arguments;
        const auto argument = read_activation_argument(layer, kind);
        if (argument == default_argument(kind)) return {};
        return {shortest_text(*argument)};
    };
    return {.word = word, .make_float = make, .make_double = make, .canonical_arguments = canonical};
}

template <class Scalar>
LayerPointer<Scalar> make_gelu(const LayerContext<Scalar>& layer) {
    if (layer.count() > 1 || (layer.count() == 1 && layer.text(0) != "tanh"))
        layer.fail("it takes no argument, or 'tanh', which approximates it");
    return std::make_unique<ActivationLayer<Scalar>>(
        layer.input(), layer.count() == 1 ? ActivationKind::gelu_tanh : ActivationKind::gelu);
}

/// A kind whose maker is a function template.
template <class Make>
LayerKind kind(const std::string& word, LayerInput input, Make make) {
    return {.word = word, .input = input, .make_float = make, .make_double = make};
}

}  // namespace

void add_built_in_layers(const std::function<void(LayerKind)>& add) {
    using enum LayerInput;
    add(kind("linear", flat, [](const auto& layer) { return make_linear(layer); }));
    add(kind("conv", images, [](const auto& layer) { return make_conv(layer); }));
    add(kind("maxpool", images, [](const auto& layer) { return make_pool<MaxPool>(layer); }));
    add(kind("avgpool", images, [](const auto& layer) { return make_pool<AveragePool>(layer); }));
    add(kind("global-average-pool", images, []<class Scalar>(const LayerContext<Scalar>& layer) {
        return std::make_unique<GlobalAveragePool<Scalar>>(layer.input());
    }));
    add(kind("flatten", images, []<class Scalar>(const LayerContext<Scalar>& layer) {
        return std::make_unique<Flatten<Scalar>>(layer.input());
    }));
    add(kind("dropout", either, [](const auto& layer) { return make_dropout(layer); }));
    add(kind("residual", either, [](const auto& layer) { return make_residual(layer); }));
    LayerKind batch_norm =
        kind("batchnorm", either, [](const auto& layer) { return make_batch_norm(layer); });
    batch_norm.canonical_arguments = [](const LayerArguments& layer) {
        return batch_norm_arguments(read_batch_norm_settings(layer));
    };
    add(std::move(batch_norm));
    add(activation("relu", ActivationKind::relu));
    add(activation("leaky-relu", ActivationKind::leaky_relu));
    add(activation("elu", ActivationKind::elu));
    add(kind("gelu", either, [](const auto& layer) { return make_gelu(layer); }));
    add(activation("silu", ActivationKind::silu));
    add(activation("tanh", ActivationKind::tanh));
    add(activation("sigmoid", ActivationKind::sigmoid));
    add(activation("softplus", ActivationKind::softplus));
    add(activation("identity", ActivationKind::identity));
}

}  // namespace lockstep
