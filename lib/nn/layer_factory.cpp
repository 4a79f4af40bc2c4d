#include <lockstep/base/error.hpp>
#include <lockstep/nn/activation.hpp>
#include <lockstep/nn/batch_norm.hpp>
#include <lockstep/nn/conv2d.hpp>
#include <lockstep/nn/dropout.hpp>
#include <lockstep/nn/flatten.hpp>
#include <lockstep/nn/layer_factory.hpp>
#include <lockstep/nn/linear.hpp>
#include <lockstep/nn/pooling.hpp>
#include <lockstep/nn/residual.hpp>

#include <charconv>
#include <string_view>
#include <utility>

namespace lockstep {
namespace {

template <class Scalar>
class Factory {
  public:
    explicit Factory(const BatchNormSetup& setup) : setup_(setup) {}

    std::unique_ptr<Sequence<Scalar>> make(const ModelDescription& model, Shape input,
                                           const std::string& prefix) {
        std::vector<std::unique_ptr<Layer<Scalar>>> layers;
        for (std::size_t i = 0; i < model.size(); ++i) {
            const std::string name = prefix + std::to_string(i);
            where_ = "model, layer " + name + " ('" + model[i].to_string() + "'): ";
            layers.push_back(make_layer(model, i, input, name));
            input = layers.back()->output_shape();
        }
        return std::make_unique<Sequence<Scalar>>(std::move(layers));
    }

  private:
    using LayerPointer = std::unique_ptr<Layer<Scalar>>;

    static bool is_kind(const ModelDescription& model, std::size_t i, std::string_view kind) {
        return i < model.size() && model[i].kind == kind;
    }

    /// Whether layer i is a batch norm that also does what the relu after it says. Not where the relu comes
    /// last: it then writes to memory of its own.
    static bool does_relu(const ModelDescription& model, std::size_t i) {
        return is_kind(model, i, "batchnorm") && is_kind(model, i + 1, "relu") && i + 2 < model.size();
    }

    LayerPointer make_layer(const ModelDescription& model, std::size_t i, Shape input,
                            const std::string& name) {
        const LayerDescription& layer = model[i];
        if (layer.kind == "linear") return make_linear(layer, input);
        if (layer.kind == "batchnorm")
            return make_batch_norm(layer, input, name,
                                   does_relu(model, i) ? Activation::relu : Activation::none);
        // A batch norm subtracts whatever a bias had added.
        if (layer.kind == "conv") return make_conv(layer, input, !is_kind(model, i + 1, "batchnorm"));
        if (layer.kind == "maxpool") return make_pool<MaxPool<Scalar>>(layer, input);
        if (layer.kind == "avgpool") return make_pool<AveragePool<Scalar>>(layer, input);
        if (layer.kind == "residual") return make_residual(layer, input, name);
        if (layer.kind == "global-average-pool") {
            expect_arguments(layer, 0, "no argument");
            return std::make_unique<GlobalAveragePool<Scalar>>(input);
        }
        if (layer.kind == "relu") {
            expect_arguments(layer, 0, "no argument");
            if (i > 0 && does_relu(model, i - 1)) return Relu<Scalar>::done_by_layer_before(input);
            return std::make_unique<Relu<Scalar>>(input);
        }
        if (layer.kind == "dropout") {
            expect_arguments(layer, 1, "the probability of dropping, as in 'dropout 0.1'");
            const auto probability = number<double>(layer.arguments[0]);
            if (!(probability >= 0 && probability < 1))
                fail("the probability must be at least 0 and less than 1");
            return std::make_unique<Dropout<Scalar>>(input, probability, dropouts_++);
        }
        if (layer.kind == "flatten") {
            expect_arguments(layer, 0, "no argument");
            return std::make_unique<Flatten<Scalar>>(input);
        }
        fail(
            "unknown layer; known are avgpool, batchnorm, conv, dropout, flatten, global-average-pool, "
            "linear, maxpool, "
            "relu, residual");
    }

    LayerPointer make_linear(const LayerDescription& layer, Shape input) {
        expect_arguments(layer, 1, "the number of outputs, as in 'linear 300'");
        const auto outputs = extent(layer.arguments[0], "the number of outputs", largest_width);
        if (input.pixels() != 1)
            fail("it takes flat samples, not images of " + input.to_string() +
                 ": put 'flatten' or 'global-average-pool' before it");
        return std::make_unique<Linear<Scalar>>(input, outputs);
    }

    LayerPointer make_batch_norm(const LayerDescription& layer, Shape input, const std::string& name,
                                 Activation activation = Activation::none) {
        expect_arguments(layer, 0, "no argument");
        BatchNormOptions options;
        options.epsilon = setup_.epsilon;
        options.momentum = setup_.momentum;
        options.activation = activation;
        options.name = name;
        return std::make_unique<BatchNorm<Scalar>>(input, setup_.communicator, options, setup_.placement);
    }

    LayerPointer make_conv(const LayerDescription& layer, Shape input, bool bias) {
        if (!layer.body.empty()) fail("it takes no layers in braces");
        if (layer.arguments.size() < 2)
            fail("it takes the channels and the kernel, as in 'conv 16 3x3 pad 1'");
        Conv2dOptions options;
        options.bias = bias;
        options.outputs = extent(layer.arguments[0], "the number of channels", largest_width);
        read_window(layer.arguments[1], options);
        read_settings(layer, 2, options);
        return fitting([&] { return std::make_unique<Conv2d<Scalar>>(input, options); });
    }

    template <class Pool>
    LayerPointer make_pool(const LayerDescription& layer, Shape input) {
        if (!layer.body.empty()) fail("it takes no layers in braces");
        if (layer.arguments.empty()) fail("it takes the window, as in '" + layer.kind + " 2'");
        PoolOptions options;
        read_window(layer.arguments[0], options);
        options.stride = options.kernel_height;
        if (options.kernel_height != options.kernel_width && layer.arguments.size() < 2)
            fail("a window that is not square needs a stride, as in '" + layer.kind + " 3x2 stride 2'");
        read_settings(layer, 1, options);
        return fitting([&] { return std::make_unique<Pool>(input, options); });
    }

    LayerPointer make_residual(const LayerDescription& layer, Shape input, const std::string& name) {
        const std::string where = where_;
        const bool zero_gamma = layer.arguments == std::vector<std::string>{"zero-gamma"};
        if (layer.body.empty() || (!layer.arguments.empty() && !zero_gamma))
            fail(
                "it takes layers in braces, as in 'residual { conv 16 3x3 pad 1, batchnorm }' or 'residual "
                "zero-gamma { … }'");
        auto body = make(layer.body, input, name + ".body.");
        where_ = where;
        if (zero_gamma) {
            std::vector<BatchNorm<Scalar>*> norms;
            body->collect_batch_norms(norms);
            if (norms.empty()) fail("zero-gamma needs a batchnorm in the braces");
            norms.back()->set_initial_gamma(0);
        }
        auto shortcut = make_shortcut(input, body->output_shape(), name + ".shortcut.");
        return std::make_unique<Residual<Scalar>>(std::move(body), std::move(shortcut));
    }

    /// The identity (null), or a 1×1 convolution and a batch norm that give `output`.
    std::unique_ptr<Sequence<Scalar>> make_shortcut(Shape input, Shape output, const std::string& prefix) {
        if (input == output) return nullptr;
        Conv2dOptions options{
            .outputs = output.channels, .kernel_height = 1, .kernel_width = 1, .bias = false};
        const auto extent_after = [&](Index extent) { return (extent - 1) / options.stride + 1; };
        while (options.stride < input.height && extent_after(input.height) > output.height) ++options.stride;
        if (extent_after(input.height) != output.height || extent_after(input.width) != output.width)
            fail("no stride takes the shortcut from " + input.to_string() + " to the " + output.to_string() +
                 " that the layers in braces give");
        std::vector<LayerPointer> layers;
        layers.push_back(std::make_unique<Conv2d<Scalar>>(input, options));
        layers.push_back(make_batch_norm({"batchnorm", {}, {}}, output, prefix + "1"));
        return std::make_unique<Sequence<Scalar>>(std::move(layers));
    }

    /// What a layer's constructor objects to, with the layer's place before it.
    template <class Make>
    LayerPointer fitting(Make make_it) const {
        try {
            return make_it();
        } catch (const UsageError& error) {
            fail(error.what());
        }
    }

    Index extent(const std::string& text, const std::string& what, Index most) const {
        const auto value = number<Index>(text);
        if (value < 1 || value > most) fail(what + " must be between 1 and " + std::to_string(most));
        return value;
    }

    /// "3" or "3x5": height × width.
    template <class Options>
    void read_window(const std::string& text, Options& options) const {
        const std::size_t cross = text.find('x');
        options.kernel_height = extent(text.substr(0, cross), "the window's height", largest_window);
        options.kernel_width = cross == std::string::npos
                                   ? options.kernel_height
                                   : extent(text.substr(cross + 1), "the window's width", largest_window);
    }

    /// "stride 2 pad 1", in either order, from argument `first` on.
    template <class Options>
    void read_settings(const LayerDescription& layer, std::size_t first, Options& options) const {
        for (std::size_t i = first; i < layer.arguments.size(); i += 2) {
            const std::string& key = layer.arguments[i];
            if (key != "stride" && key != "pad")
                fail("unknown setting '" + key + "'; known are stride and pad");
            if (i + 1 == layer.arguments.size()) fail("'" + key + "' needs a number");
            if (key == "stride") {
                options.stride = extent(layer.arguments[i + 1], "the stride", largest_window);
            } else {
                options.pad = number<Index>(layer.arguments[i + 1]);
                if (options.pad < 0 || options.pad > largest_window)
                    fail("the pad must be between 0 and " + std::to_string(largest_window));
            }
        }
    }

    void expect_arguments(const LayerDescription& layer, std::size_t count, const std::string& which) const {
        if (!layer.body.empty()) fail("it takes no layers in braces");
        if (layer.arguments.size() != count) fail("it takes " + which);
    }

    template <class Number>
    Number number(const std::string& text) const {
        Number value{};
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (error != std::errc() || end != text.data() + text.size()) fail("'" + text + "' is not a number");
        return value;
    }

    [[noreturn]] void fail(const std::string& what) const { throw UsageError(where_ + what); }

    static constexpr Index largest_width = 10'000'000;
    static constexpr Index largest_window = 255;

    const BatchNormSetup& setup_;
    std::string where_;
    int dropouts_ = 0;
};

}  // namespace

bool needs_images(const ModelDescription& model) {
    for (const LayerDescription& layer : model) {
        if (layer.kind == "conv" || layer.kind == "maxpool" || layer.kind == "avgpool" ||
            layer.kind == "global-average-pool" || layer.kind == "flatten" || needs_images(layer.body))
            return true;
    }
    return false;
}

template <class Scalar>
std::unique_ptr<Sequence<Scalar>> make_sequence(const ModelDescription& model, Shape input,
                                                const BatchNormSetup& setup) {
    return Factory<Scalar>(setup).make(model, input, "");
}

template LOCKSTEP_EXPORT std::unique_ptr<Sequence<float>> make_sequence(const ModelDescription&, Shape,
                                                                        const BatchNormSetup&);
template LOCKSTEP_EXPORT std::unique_ptr<Sequence<double>> make_sequence(const ModelDescription&, Shape,
                                                                         const BatchNormSetup&);

}  // namespace lockstep
