#include <lockstep/nn/network.hpp>

#include <lockstep/base/error.hpp>
#include <lockstep/nn/layer_factory.hpp>

#include <algorithm>
#include <utility>

namespace lockstep {

namespace {

/// What the first layer gets.
Shape fitted_input(const Model& model, const Shape& samples) {
    if (model.input() && *model.input() != samples &&
        (model.input()->size() != samples.size() || (model.input()->pixels() != 1 && samples.pixels() != 1)))
        throw UsageError("the model is for samples of " + model.input()->to_string() + ", but these are of " +
                         samples.to_string());
    if (!needs_images(model.layers())) return Shape::dense(samples.size());
    return samples.pixels() == 1 && model.input() ? *model.input() : samples;
}

Shape declared_input(const Model& model) {
    if (!model.input())
        throw UsageError(
            "the model does not say what samples it is for: begin it with Model::dense or "
            "Model::images, or give their shape to the network");
    return *model.input();
}

}  // namespace

template <class Scalar>
Network<Scalar>::Network(const Model& model, BatchNormSetup setup)
    : Network(model, declared_input(model), std::move(setup)) {}

template <class Scalar>
Network<Scalar>::Network(const Model& model, Shape input, BatchNormSetup setup)
    : model_(model),
      setup_(std::move(setup)),
      map_(setup_.placement.replicas.value_or(setup_.communicator.size()), setup_.communicator.size()),
      layers_(make_sequence<Scalar>(model.layers(), fitted_input(model, input), setup_)) {
    layers_->place(layout_, "");
    store_ = std::make_unique<ParameterStore<Scalar>>(layout_);
    layers_->bind(*store_);
    layers_->collect_batch_norms(batch_norms_);
}

template <class Scalar>
void Network<Scalar>::initialize(std::uint64_t seed) {
    layers_->initialize(seed);
}

template <class Scalar>
void Network<Scalar>::prepare_training(Index batch, const std::vector<Scalar*>& cover) {
    const int rank = setup_.communicator.rank();
    const auto hosted = static_cast<std::size_t>(map_.block(rank).size());
    layers_->reserve(static_cast<int>(hosted), batch);
    gradients_ = std::make_unique<GradientStore<Scalar>>(map_, rank, layout_.parameter_values(), cover);
    logit_storage_.assign(hosted,
                          AlignedVector<Scalar>(static_cast<std::size_t>(batch * output_shape().size())));
    logits_.clear();
    for (auto& storage : logit_storage_) logits_.push_back({storage.data(), output_shape(), 0});
    const_logits_.resize(hosted);
    no_input_gradients_.assign(hosted, {nullptr, input_shape(), 0});
}

template <class Scalar>
std::span<const Tensor<const Scalar>> Network<Scalar>::forward(const StepContext& context,
                                                               std::span<const Tensor<const Scalar>> inputs) {
    for (std::size_t r = 0; r < logits_.size(); ++r) {
        logits_[r].batch = inputs[r].batch;
        const_logits_[r] = logits_[r];
    }
    layers_->forward(context, inputs, logits_);
    return const_logits_;
}

template <class Scalar>
void Network<Scalar>::backward(const StepContext& context, std::span<const Tensor<const Scalar>> inputs,
                               std::span<const Tensor<const Scalar>> logit_gradients,
                               const GradientsReady& ready) {
    layers_->backward(
        {context, inputs, const_logits_, logit_gradients, no_input_gradients_, *gradients_, ready});
}

template <class Scalar>
void Network<Scalar>::infer(const Tensor<const Scalar>& input, const Tensor<Scalar>& logits) const {
    layers_->infer(input, logits);
}

template class Network<float>;
template class Network<double>;

}  // namespace lockstep
