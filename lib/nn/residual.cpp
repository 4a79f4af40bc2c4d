#include <lockstep/nn/residual.hpp>

#include "../simd/elementwise.hpp"

#include <lockstep/base/error.hpp>

#include <utility>

namespace lockstep {
namespace {

/// to = a + b, value by value; to may be either.
template <class Scalar>
void add(const Scalar* a, const Scalar* b, Scalar* to, Index size) {
    elementwise<Scalar>().add(to, a, b, size);
}

}  // namespace

template <class Scalar>
void Residual<Scalar>::Buffers::reserve(int replicas, Index batch, const Shape& shape) {
    storage.assign(static_cast<std::size_t>(replicas),
                   AlignedVector<Scalar>(static_cast<std::size_t>(batch * shape.size())));
    tensors.clear();
    for (auto& values : storage) tensors.push_back({values.data(), shape, 0});
    const_tensors.assign(tensors.begin(), tensors.end());
}

template <class Scalar>
void Residual<Scalar>::Buffers::set_batches(Inputs like) {
    for (std::size_t r = 0; r < tensors.size(); ++r) {
        tensors[r].batch = like[r].batch;
        const_tensors[r] = tensors[r];
    }
}

template <class Scalar>
Residual<Scalar>::Residual(std::unique_ptr<Sequence<Scalar>> body, std::unique_ptr<Sequence<Scalar>> shortcut)
    : Layer<Scalar>(body->input_shape(), body->output_shape()),
      body_(std::move(body)),
      shortcut_(std::move(shortcut)) {
    const Shape end = shortcut_ ? shortcut_->output_shape() : this->input_shape();
    if (end != this->output_shape())
        throw UsageError("residual: the layers in braces end in " + this->output_shape().to_string() +
                         ", the shortcut in " + end.to_string());
}

template <class Scalar>
void Residual<Scalar>::declare(ParameterLayout& layout, const std::string& prefix) {
    body_->place(layout, prefix + "body.");
    if (shortcut_) shortcut_->place(layout, prefix + "shortcut.");
}

template <class Scalar>
void Residual<Scalar>::bind(ParameterStore<Scalar>& store) {
    body_->bind(store);
    if (shortcut_) shortcut_->bind(store);
}

template <class Scalar>
void Residual<Scalar>::initialize(std::uint64_t seed) {
    body_->initialize(seed);
    if (shortcut_) shortcut_->initialize(seed);
}

template <class Scalar>
void Residual<Scalar>::collect_batch_norms(std::vector<BatchNorm<Scalar>*>& list) {
    body_->collect_batch_norms(list);
    if (shortcut_) shortcut_->collect_batch_norms(list);
}

template <class Scalar>
void Residual<Scalar>::fold_batch_norms() {
    body_->fold_batch_norms();
    if (shortcut_) shortcut_->fold_batch_norms();
}

template <class Scalar>
void Residual<Scalar>::reserve(int replicas, Index batch) {
    body_->reserve(replicas, batch);
    if (body_->needs_output()) body_output_.reserve(replicas, batch, this->output_shape());
    if (!shortcut_) return;
    shortcut_->reserve(replicas, batch);
    shortcut_output_.reserve(replicas, batch, this->output_shape());
    shortcut_gradient_.reserve(replicas, batch, this->input_shape());
}

template <class Scalar>
void Residual<Scalar>::forward(const StepContext& context, Inputs x, Outputs z) {
    body_output_.set_batches(x);
    shortcut_output_.set_batches(x);
    const Outputs body_output = body_->needs_output() ? Outputs(body_output_.tensors) : z;
    body_->forward(context, x, body_output);
    if (shortcut_) shortcut_->forward(context, x, shortcut_output_.tensors);
    const Inputs other = shortcut_ ? Inputs(shortcut_output_.const_tensors) : x;
    for (std::size_t r = 0; r < x.size(); ++r)
        add<Scalar>(body_output[r].data, other[r].data, z[r].data, z[r].size());
}

template <class Scalar>
void Residual<Scalar>::backward(const BackwardPass& pass) {
    // The shortcut goes first: its parameters come after the body's, and the offsets that are ready must
    // fall.
    const bool wants_dx = pass.dx.front().data != nullptr;
    shortcut_gradient_.set_batches(pass.x);
    std::vector<Tensor<Scalar>>& shortcut_gradient = shortcut_gradient_.tensors;
    if (shortcut_) {
        for (std::size_t r = 0; r < shortcut_gradient.size(); ++r)
            shortcut_gradient[r].data = wants_dx ? shortcut_gradient_.storage[r].data() : nullptr;
        shortcut_->backward({pass.context, pass.x, shortcut_output_.const_tensors, pass.dz, shortcut_gradient,
                             pass.gradients, pass.ready});
    }
    const Inputs body_output = body_->needs_output() ? Inputs(body_output_.const_tensors) : pass.z;
    body_->backward({pass.context, pass.x, body_output, pass.dz, pass.dx, pass.gradients, pass.ready});
    if (!wants_dx) return;
    const Inputs other = shortcut_ ? Inputs(shortcut_gradient_.const_tensors) : pass.dz;
    for (std::size_t r = 0; r < pass.dx.size(); ++r)
        add<Scalar>(pass.dx[r].data, other[r].data, pass.dx[r].data, pass.dx[r].size());
}

template <class Scalar>
void Residual<Scalar>::infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const {
    body_->infer(x, z);
    if (!shortcut_) {
        add<Scalar>(z.data, x.data, z.data, z.size());
        return;
    }
    AlignedVector<Scalar> values(static_cast<std::size_t>(z.size()));
    shortcut_->infer(x, {values.data(), z.shape, z.batch});
    add<Scalar>(z.data, values.data(), z.data, z.size());
}

template class Residual<float>;
template class Residual<double>;

}  // namespace lockstep
