#include <lockstep/nn/layer_factory.hpp>

#include "layer_kinds.hpp"

#include <map>
#include <utility>

namespace lockstep {
namespace {

[[noreturn]] void fail_unknown(const LayerArguments& layer) {
    if (layer.description().kind == "softmax")
        layer.fail(
            "softmax is no layer: the loss applies it to what the last layer gives, and 'predict "
            "--probabilities' shows it; leave it out");
    layer.fail("unknown layer; known are " + known_layers() +
               "; one of your own is known after register_layer");
}

template <class Scalar>
const LayerMaker<Scalar>& maker_of(const LayerKind& kind) {
    if constexpr (sizeof(Scalar) == sizeof(float))
        return kind.make_float;
    else
        return kind.make_double;
}

template <class Scalar>
class Factory {
  public:
    explicit Factory(const BatchNormSetup& setup) : setup_(setup) {}

    std::unique_ptr<Sequence<Scalar>> make(const ModelDescription& model, Shape input,
                                           const std::string& prefix) {
        std::vector<std::unique_ptr<Layer<Scalar>>> layers;
        for (std::size_t i = 0; i < model.size(); ++i) {
            const std::string next = i + 1 < model.size() ? model[i + 1].kind : "";
            layers.push_back(make_layer({model[i], prefix + std::to_string(i)}, input, next));
            input = layers.back()->output_shape();
        }
        return std::make_unique<Sequence<Scalar>>(std::move(layers));
    }

  private:
    std::unique_ptr<Layer<Scalar>> make_layer(LayerArguments arguments, Shape input, std::string next) {
        const LayerDescription& description = arguments.description();
        const LayerKind* const kind = find_layer_kind(description.kind);
        if (kind == nullptr) fail_unknown(arguments);
        if (kind->input == LayerInput::flat && input.pixels() != 1)
            arguments.fail("it takes flat samples, not images of " + input.to_string() +
                           ": put 'flatten' or 'global-average-pool' before it");
        const auto make_body = [&](Shape shape, const std::string& prefix) {
            return make(description.body, shape, prefix);
        };
        const LayerContext<Scalar> context(std::move(arguments), input, std::move(next),
                                           made_[description.kind]++, setup_, make_body);
        try {
            auto layer = maker_of<Scalar>(*kind)(context);
            if (layer == nullptr) context.fail("its maker has made nothing");
            context.expect_all_read();
            const Shape output = layer->output_shape();
            if (layer->input_shape() != input || output.height < 1 || output.width < 1 || output.channels < 1)
                context.fail("it is made to take samples of " + layer->input_shape().to_string() +
                             " and give " + output.to_string() + ", where it gets " + input.to_string() +
                             " and must give at least one value");
            if (!description.body.empty() && !context.has_made_body())
                context.fail("it takes no layers in braces");
            return layer;
        } catch (const LayerError&) {
            throw;
        } catch (const UsageError& error) {  // a layer's constructor does not know its place
            context.fail(error.what());
        }
    }

    const BatchNormSetup& setup_;
    std::map<std::string, int> made_;  // by kind
};

}  // namespace

bool needs_images(const ModelDescription& model) {
    for (const LayerDescription& layer : model) {
        const LayerKind* const kind = find_layer_kind(layer.kind);
        if ((kind != nullptr && kind->input == LayerInput::images) || needs_images(layer.body)) return true;
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
