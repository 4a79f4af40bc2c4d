#include <lockstep/nn/sequence.hpp>

#include <lockstep/base/error.hpp>
#include <lockstep/nn/activation.hpp>
#include <lockstep/nn/batch_norm.hpp>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

namespace lockstep {

template <class Scalar>
Sequence<Scalar>::Sequence(std::vector<std::unique_ptr<Layer<Scalar>>> layers)
    : Layer<Scalar>(layers.empty() ? Shape{} : layers.front()->input_shape(),
                    layers.empty() ? Shape{} : layers.back()->output_shape()),
      layers_(std::move(layers)) {
    if (layers_.empty()) throw UsageError("a network needs at least one layer");
    for (std::size_t i = 1; i < layers_.size(); ++i)
        if (layers_[i]->input_shape() != layers_[i - 1]->output_shape())
            throw UsageError("layer " + std::to_string(i) + " (" + layers_[i]->kind() + ") takes " +
                             layers_[i]->input_shape().to_string() + " but the layer before it gives " +
                             layers_[i - 1]->output_shape().to_string());
    fuse_batch_norm_and_relu();
}

template <class Scalar>
bool Sequence<Scalar>::is_relu(std::size_t i) const {
    if (i >= layers_.size()) return false;
    const auto* const layer = dynamic_cast<const ActivationLayer<Scalar>*>(layers_[i].get());
    return layer != nullptr && layer->activation() == ActivationKind::relu;
}

template <class Scalar>
void Sequence<Scalar>::fuse_batch_norm_and_relu() {
    // Not where the relu comes last: it then writes to memory of its own.
    for (std::size_t i = 0; i + 2 < layers_.size(); ++i) {
        auto* const norm = dynamic_cast<BatchNorm<Scalar>*>(layers_[i].get());
        if (norm == nullptr || !is_relu(i + 1)) continue;
        norm->rectify_output();
        static_cast<ActivationLayer<Scalar>&>(*layers_[i + 1]).leave_to_layer_before();
    }
}

template <class Scalar>
void Sequence<Scalar>::declare(ParameterLayout& layout, const std::string& prefix) {
    for (std::size_t i = 0; i < layers_.size(); ++i)
        layers_[i]->place(layout, prefix + std::to_string(i) + ".");
}

template <class Scalar>
void Sequence<Scalar>::bind(ParameterStore<Scalar>& store) {
    for (auto& layer : layers_) layer->bind(store);
}

template <class Scalar>
void Sequence<Scalar>::initialize(std::uint64_t seed) {
    for (auto& layer : layers_) layer->initialize(seed);
}

template <class Scalar>
void Sequence<Scalar>::collect_batch_norms(std::vector<BatchNorm<Scalar>*>& list) {
    for (auto& layer : layers_) layer->collect_batch_norms(list);
}

template <class Scalar>
void Sequence<Scalar>::fold_batch_norms() {
    for (auto& layer : layers_) layer->fold_batch_norms();
    for (std::size_t i = 0; i < layers_.size();)
        if (!fold_layer(i)) ++i;
}

template <class Scalar>
bool Sequence<Scalar>::fold_layer(std::size_t i) {
    const auto* const norm = dynamic_cast<const BatchNorm<Scalar>*>(layers_[i].get());
    // In infer a relu that follows does its own work, be it fused or not.
    if (norm == nullptr || (norm->rectifies_output() && !is_relu(i + 1))) return false;
    const auto map = norm->foldable_map();
    if (!map) return false;
    const bool folds_back = i > 0 && layers_[i - 1]->absorb(*map, Layer<Scalar>::Side::output);
    if (!folds_back && !(i + 1 < layers_.size() && layers_[i + 1]->absorb(*map, Layer<Scalar>::Side::input)))
        return false;
    layers_.erase(layers_.begin() + static_cast<std::ptrdiff_t>(i));
    return true;
}

template <class Scalar>
bool Sequence<Scalar>::overwrites_input(std::size_t i) const {
    return i > 0 && i + 1 < layers_.size() && layers_[i]->runs_in_place() && !layers_[i - 1]->needs_output();
}

template <class Scalar>
void Sequence<Scalar>::reserve(int replicas, Index batch) {
    const auto hosted = static_cast<std::size_t>(replicas);
    const std::size_t between = layers_.size() - 1;
    storage_.clear();
    const auto allocate = [this, batch](const Shape& shape, Index values) {
        storage_.emplace_back(static_cast<std::size_t>(batch * values));
        return Tensor<Scalar>{storage_.back().data(), shape, 0};
    };
    outputs_.assign(between, std::vector<Tensor<Scalar>>(hosted));
    const_outputs_.assign(between, std::vector<Tensor<const Scalar>>(hosted));
    Index largest = 0;
    for (std::size_t i = 0; i < between; ++i) {
        const Shape& shape = layers_[i]->output_shape();
        largest = std::max(largest, shape.size());
        for (std::size_t r = 0; r < hosted; ++r)
            outputs_[i][r] = overwrites_input(i) ? Tensor<Scalar>{outputs_[i - 1][r].data, shape, 0}
                                                 : allocate(shape, shape.size());
    }
    for (int turn = 0; turn < 2; ++turn) {
        gradients_[turn].resize(hosted);
        const_gradients_[turn].resize(hosted);
        for (auto& gradient : gradients_[turn]) gradient = allocate(Shape{}, largest);
    }
    for (auto& layer : layers_) layer->reserve(replicas, batch);
}

template <class Scalar>
void Sequence<Scalar>::set_batches(Inputs x) {
    for (std::size_t i = 0; i < outputs_.size(); ++i)
        for (std::size_t r = 0; r < x.size(); ++r) {
            outputs_[i][r].batch = x[r].batch;
            const_outputs_[i][r] = outputs_[i][r];
        }
}

template <class Scalar>
void Sequence<Scalar>::forward(const StepContext& context, Inputs x, Outputs z) {
    set_batches(x);
    const std::size_t last = layers_.size() - 1;
    for (std::size_t i = 0; i <= last; ++i)
        layers_[i]->forward(context, i == 0 ? x : Inputs(const_outputs_[i - 1]), i == last ? z : outputs_[i]);
}

namespace {

template <class Scalar>
bool is_finite(const Tensor<const Scalar>& tensor) {
    return std::all_of(tensor.data, tensor.data + tensor.size(),
                       [](Scalar value) { return std::isfinite(value); });
}

/// A layer of a user's own may forget it; what its replicas have computed would then not be summed.
template <class Scalar>
void check_pushed(const Layer<Scalar>& layer, std::size_t i, Index pushed, int replicas) {
    // What lies between two arrays may be pushed with them.
    if (pushed >= layer.parameters() * replicas && pushed <= layer.parameter_room() * replicas) return;
    throw UsageError(
        "layer " + std::to_string(i) + " (" + layer.kind() + "): its backward has pushed " +
        std::to_string(pushed) + " gradients of " + std::to_string(replicas) +
        (replicas == 1 ? " replica" : " replicas") + " with " + std::to_string(layer.parameters()) +
        " parameters: write each replica's to gradients.leaf(replica, offset), and push them once");
}

}  // namespace

template <class Scalar>
LayerRange Sequence<Scalar>::first_not_finite(Inputs z) const {
    for (std::size_t i = 0; i < layers_.size(); ++i) {
        if (std::ranges::all_of(i + 1 == layers_.size() ? z : Inputs(const_outputs_[i]), is_finite<Scalar>))
            continue;
        std::size_t end = i + 1;
        while (end < layers_.size() && overwrites_input(end)) ++end;
        return {i, end};
    }
    return {layers_.size(), layers_.size()};
}

template <class Scalar>
void Sequence<Scalar>::backward(const BackwardPass& pass) {
    Inputs dz = pass.dz;
    int turn = 0;             // the buffers that the next gradients go to
    bool dz_is_ours = false;  // the caller's dz must not be overwritten
    for (std::size_t i = layers_.size(); i-- > 0;) {
        Layer<Scalar>& layer = *layers_[i];
        const Inputs x = i == 0 ? pass.x : Inputs(const_outputs_[i - 1]);
        const Inputs z = i + 1 == layers_.size() ? pass.z : Inputs(const_outputs_[i]);
        Outputs dx = pass.dx;
        if (i > 0) {
            if (dz_is_ours && layer.runs_in_place()) turn = 1 - turn;  // back to where dz lies
            for (std::size_t r = 0; r < dz.size(); ++r) {
                gradients_[turn][r].shape = layer.input_shape();
                gradients_[turn][r].batch = dz[r].batch;
                const_gradients_[turn][r] = gradients_[turn][r];
            }
            dx = gradients_[turn];
        }
        const Index pushed = pass.gradients.pushed();
        layer.backward({pass.context, x, z, dz, dx, pass.gradients, pass.ready});
        check_pushed(layer, i, pass.gradients.pushed() - pushed, pass.gradients.hosted());
        if (pass.ready) pass.ready(layer.first_parameter());
        if (i == 0) break;
        dz = const_gradients_[turn];
        dz_is_ours = true;
        turn = 1 - turn;
    }
}

template <class Scalar>
void Sequence<Scalar>::infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const {
    Index largest = 0;
    for (const auto& layer : layers_) largest = std::max(largest, layer->output_shape().size());
    AlignedVector<Scalar> buffers[2];
    if (layers_.size() > 1)
        for (auto& buffer : buffers) buffer.resize(static_cast<std::size_t>(largest * x.batch));
    Tensor<const Scalar> input = x;
    int turn = 0;  // the buffer that the next layer writes to
    for (std::size_t i = 0; i < layers_.size(); ++i) {
        if (i > 0 && layers_[i]->runs_in_place()) turn = 1 - turn;  // back to where its input lies
        const bool last = i + 1 == layers_.size();
        const Tensor<Scalar> output =
            last ? z : Tensor<Scalar>{buffers[turn].data(), layers_[i]->output_shape(), x.batch};
        layers_[i]->infer(input, output);
        input = output;
        turn = 1 - turn;
    }
}

template class Sequence<float>;
template class Sequence<double>;

}  // namespace lockstep
