/// A small network as tests see it: layers made from a model text, with parameters, inputs and a whole
/// training pass, for all replicas of a map that live on one rank.
#pragma once

#include <lockstep/base/random.hpp>
#include <lockstep/nn/layer_factory.hpp>

#include <cstdint>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <vector>

namespace lockstep::test {

/// One tensor with its memory.
template <class Scalar>
struct OwnedTensor {
    OwnedTensor(Shape shape_, Index batch_)
        : shape(shape_), batch(batch_), values(static_cast<std::size_t>(batch * shape.size())) {}

    Tensor<Scalar> tensor() { return {values.data(), shape, batch}; }
    Tensor<const Scalar> const_tensor() const { return {values.data(), shape, batch}; }

    Shape shape;
    Index batch;
    AlignedVector<Scalar> values;
};

template <class Scalar>
void fill_normal(std::span<Scalar> values, std::uint64_t index, double mean = 0, double deviation = 1) {
    RandomStream random(7, RandomPurpose::test, index);
    for (Scalar& value : values) value = static_cast<Scalar>(mean + deviation * random.normal());
}

/// The layers, and one input, output and pair of gradients for each replica hosted here. Batches are given
/// for all replicas; what the tensors hold depends on the replica, never on the rank.
template <class Scalar>
class LayerHarness {
  public:
    LayerHarness(const std::string& model, Shape input, const std::vector<Index>& batches,
                 const Communicator& communicator, std::optional<int> group = {})
        : map_(static_cast<int>(batches.size()), communicator.size()),
          hosted_(map_.block(communicator.rank())),
          layers_(make_sequence<Scalar>(parse_model(model), input,
                                        {communicator, {map_.replicas(), group}, 1e-5, 0.1})) {
        layers_->place(layout_, "");
        store_ = std::make_unique<ParameterStore<Scalar>>(layout_);
        layers_->bind(*store_);
        randomize_parameters();
        gradients_ =
            std::make_unique<GradientStore<Scalar>>(map_, communicator.rank(), layout_.parameter_values());
        Index largest = 0, position = 0;
        for (int replica = 0; replica < map_.replicas(); ++replica) {
            const Index batch = batches[static_cast<std::size_t>(replica)];
            if (hosted_.contains({replica, replica + 1})) {
                largest = std::max(largest, batch);
                add_replica(static_cast<std::uint64_t>(replica), batch, position);
            }
            position += batch;
        }
        layers_->reserve(hosted_.size(), largest);
    }

    void forward() {
        const auto inputs = const_views(x);
        const auto outputs = views(z);
        layers_->forward(context(), inputs, outputs);
    }

    /// After forward.
    void backward(const GradientsReady& ready = {}) {
        const auto inputs = const_views(x), outputs = const_views(z), output_gradients = const_views(dz);
        const auto input_gradients = views(dx);
        layers_->backward(
            {context(), inputs, outputs, output_gradients, input_gradients, *gradients_, ready});
    }

    OwnedTensor<Scalar> infer(const Tensor<const Scalar>& input) const {
        OwnedTensor<Scalar> output(layers_->output_shape(), input.batch);
        layers_->infer(input, output.tensor());
        return output;
    }

    /// Σ z·dz over the replicas hosted here: dz is the gradient of this with respect to z.
    double objective() const {
        double sum = 0;
        for (std::size_t r = 0; r < z.size(); ++r)
            sum += std::inner_product(z[r].values.begin(), z[r].values.end(), dz[r].values.begin(), 0.0);
        return sum;
    }

    const ReplicaMap& map() const { return map_; }
    ReplicaRange hosted() const { return hosted_; }
    const ParameterLayout& layout() const { return layout_; }
    Sequence<Scalar>& layers() { return *layers_; }
    std::span<Scalar> parameters() { return store_->parameters; }
    std::span<Scalar> averages() { return store_->averages; }
    GradientStore<Scalar>& gradients() { return *gradients_; }

    StepContext step{11, 3, {}};
    std::vector<OwnedTensor<Scalar>> x, z, dz, dx;

  private:
    void randomize_parameters() {
        for (const ParameterInfo& info : layout_.parameters())
            fill_normal(
                std::span(store_->parameters)
                    .subspan(static_cast<std::size_t>(info.offset), static_cast<std::size_t>(info.size)),
                static_cast<std::uint64_t>(1000 + info.offset), info.kind == ParameterKind::scale ? 1 : 0,
                0.4);
        for (const ParameterInfo& info : layout_.averages())
            for (Index i = info.offset; i < info.end(); ++i)
                store_->averages[static_cast<std::size_t>(i)] =
                    static_cast<Scalar>(0.5 + 0.01 * static_cast<double>(i % 17));
    }

    void add_replica(std::uint64_t replica, Index batch, Index position) {
        first_positions_.push_back(position);
        x.emplace_back(layers_->input_shape(), batch);
        dx.emplace_back(layers_->input_shape(), batch);
        z.emplace_back(layers_->output_shape(), batch);
        dz.emplace_back(layers_->output_shape(), batch);
        fill_normal(std::span(x.back().values), 2 * replica, 0.3);
        fill_normal(std::span(dz.back().values), 2 * replica + 1);
    }

    StepContext context() const { return {step.seed, step.step, first_positions_}; }

    static std::vector<Tensor<Scalar>> views(std::vector<OwnedTensor<Scalar>>& tensors) {
        std::vector<Tensor<Scalar>> all;
        for (auto& one : tensors) all.push_back(one.tensor());
        return all;
    }
    static std::vector<Tensor<const Scalar>> const_views(const std::vector<OwnedTensor<Scalar>>& tensors) {
        std::vector<Tensor<const Scalar>> all;
        for (const auto& one : tensors) all.push_back(one.const_tensor());
        return all;
    }

    ReplicaMap map_;
    ReplicaRange hosted_;
    std::unique_ptr<Sequence<Scalar>> layers_;
    ParameterLayout layout_;
    std::unique_ptr<ParameterStore<Scalar>> store_;
    std::unique_ptr<GradientStore<Scalar>> gradients_;
    std::vector<Index> first_positions_;
};

}  // namespace lockstep::test
