/// Outputs of a network, folded or not, for a data set, chunk by chunk. Chunks have a fixed size and begin at fixed
/// samples, so that the outputs have the same bits whoever infers which of them.
#pragma once

#include <lockstep/base/aligned_vector.hpp>
#include <lockstep/base/export.hpp>
#include <lockstep/data/dataset.hpp>
#include <lockstep/data/input_transform.hpp>
#include <lockstep/data/sample_reader.hpp>
#include <lockstep/nn/layer.hpp>

namespace lockstep {

/// What it is made from outlives it. Communicates nothing. Instantiated for float and double.
template <class Scalar>
class LOCKSTEP_EXPORT ChunkInference {
  public:
    static constexpr Index chunk_samples = 250;

    /// Takes a network's layers(). Throws UsageError if the data fit neither the transform nor the layers.
    ChunkInference(const Layer<Scalar>& layers, const Dataset& data, const InputTransform& transform);

    static Index chunks_of(const Dataset& data) { return (data.size() - 1) / chunk_samples + 1; }
    Index chunks() const { return chunks_of(data_); }
    Index first_sample(Index chunk) const { return chunk * chunk_samples; }

    /// The outputs for a chunk's samples, valid until the next call. Throws as SampleReader does.
    Tensor<const Scalar> infer(Index chunk);
    SampleReader<Scalar>& reader() { return reader_; }

  private:
    const Layer<Scalar>& layers_;
    const Dataset& data_;
    SampleReader<Scalar> reader_;
    AlignedVector<Scalar> input_, outputs_;
};

extern template class ChunkInference<float>;
extern template class ChunkInference<double>;

}  // namespace lockstep
