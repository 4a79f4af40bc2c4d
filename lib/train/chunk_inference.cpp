#include <lockstep/train/chunk_inference.hpp>

#include <lockstep/base/error.hpp>

#include <algorithm>

namespace lockstep {

template <class Scalar>
ChunkInference<Scalar>::ChunkInference(const Layer<Scalar>& layers, const Dataset& data,
                                       const InputTransform& transform)
    : layers_(layers),
      data_(data),
      reader_(data, transform),
      input_(static_cast<std::size_t>(chunk_samples * data.input_shape().size())),
      outputs_(static_cast<std::size_t>(chunk_samples * layers.output_shape().size())) {
    if (layers.input_shape().size() != data.input_shape().size())
        throw UsageError("the samples of data set " + data.name() + " are " + data.input_shape().to_string() +
                         ", but the network takes " + layers.input_shape().to_string());
}

template <class Scalar>
Tensor<const Scalar> ChunkInference<Scalar>::infer(Index chunk) {
    const Index begin = first_sample(chunk), count = std::min(chunk_samples, data_.size() - begin);
    data_.prefetch(begin, count);
    for (Index i = 0; i < count; ++i)
        reader_.read_input(begin + i, input_.data() + i * data_.input_shape().size());
    data_.check_unchanged();
    const Tensor<Scalar> outputs{outputs_.data(), layers_.output_shape(), count};
    layers_.infer(Tensor<const Scalar>{input_.data(), layers_.input_shape(), count}, outputs);
    return outputs;
}

template class ChunkInference<float>;
template class ChunkInference<double>;

}  // namespace lockstep
