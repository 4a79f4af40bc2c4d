#include <lockstep/base/error.hpp>
#include <lockstep/nn/activation.hpp>
#include <lockstep/nn/batch_norm.hpp>
#include <lockstep/nn/dropout.hpp>
#include <lockstep/nn/flatten.hpp>
#include <lockstep/nn/layer_factory.hpp>
#include <lockstep/nn/linear.hpp>

#include <charconv>
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
        for (const LayerDescription& description : model) {
            where_ = "model, layer " + prefix + std::to_string(layers.size()) + " ('" +
                     description.to_string() + "'): ";
            layers.push_back(make_layer(description, input, prefix + std::to_string(layers.size())));
            input = layers.back()->output_shape();
        }
        return std::make_unique<Sequence<Scalar>>(std::move(layers));
    }

  private:
    std::unique_ptr<Layer<Scalar>> make_layer(const LayerDescription& layer, Shape input,
                                              const std::string& name) {
        if (layer.kind == "linear") return make_linear(layer, input);
        if (layer.kind == "batchnorm") return make_batch_norm(layer, input, name);
        if (layer.kind == "relu") {
            expect_arguments(layer, 0, "no argument");
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
        throw UsageError(where_ + "unknown layer; known are batchnorm, dropout, flatten, linear, relu");
    }

    std::unique_ptr<Layer<Scalar>> make_linear(const LayerDescription& layer, Shape input) {
        expect_arguments(layer, 1, "the number of outputs, as in 'linear 300'");
        const auto outputs = number<Index>(layer.arguments[0]);
        if (outputs < 1 || outputs > largest_width)
            fail("the number of outputs must be between 1 and 10 million");
        if (input.pixels() != 1)
            fail("it takes flat samples, not images of " + input.to_string() +
                 ": put 'flatten' or 'global-average-pool' before it");
        return std::make_unique<Linear<Scalar>>(input, outputs);
    }

    std::unique_ptr<Layer<Scalar>> make_batch_norm(const LayerDescription& layer, Shape input,
                                                   const std::string& name) {
        expect_arguments(layer, 0, "no argument");
        BatchNormOptions options;
        options.epsilon = setup_.epsilon;
        options.momentum = setup_.momentum;
        options.name = name;
        return std::make_unique<BatchNorm<Scalar>>(input, setup_.communicator, options, setup_.placement);
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

    const BatchNormSetup& setup_;
    std::string where_;
    int dropouts_ = 0;
};

}  // namespace

bool needs_images(const ModelDescription& model) {
    for (const LayerDescription& layer : model) {
        if (layer.kind == "conv" || layer.kind == "maxpool" || layer.kind == "avgpool" ||
            layer.kind == "global-average-pool" || needs_images(layer.body))
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
