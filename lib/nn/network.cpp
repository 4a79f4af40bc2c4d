#include <lockstep/nn/network.hpp>

#include <algorithm>
#include <utility>

namespace lockstep {

template <class Scalar>
Network<Scalar>::Network(const ModelDescription& model, Shape input, BatchNormSetup setup)
    : setup_(std::move(setup)),
      map_(setup_.placement.replicas.value_or(setup_.communicator.size()), setup_.communicator.size()),
      layers_(
          make_sequence<Scalar>(model, needs_images(model) ? input : Shape::dense(input.size()), setup_)) {
    layers_->declare(layout_, "");
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
