#include <lockstep/base/aligned_vector.hpp>
#include <lockstep/base/error.hpp>
#include <lockstep/nn/loss.hpp>
#include <lockstep/train/evaluator.hpp>

#include <algorithm>
#include <span>

namespace lockstep {
namespace {

constexpr Index chunk_samples = 250;

/// Infers chunks of a data set one at a time.
template <class Scalar>
class ChunkEvaluator {
  public:
    ChunkEvaluator(const Network<Scalar>& network, const Dataset& data, const InputTransform& transform)
        : network_(network),
          data_(data),
          transform_(transform),
          input_(static_cast<std::size_t>(chunk_samples * data.shape.size())),
          logits_(static_cast<std::size_t>(chunk_samples * network.output_shape().size())) {}

    /// The sums over the chunk; counts its answers in `confusion`.
    LossSums evaluate(Index chunk, std::vector<Index>& confusion) {
        const Index begin = chunk * chunk_samples;
        const Index count = std::min(chunk_samples, data_.size() - begin);
        for (Index i = 0; i < count; ++i)
            transform_.apply(data_.sample(begin + i), input_.data() + i * data_.shape.size());
        const Tensor<Scalar> logits{logits_.data(), network_.output_shape(), count};
        network_.infer(Tensor<const Scalar>{input_.data(), network_.input_shape(), count}, logits);
        const auto labels =
            std::span(data_.labels).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(count));
        for (Index i = 0; i < count; ++i) {
            const int predicted = predicted_class(Tensor<const Scalar>(logits), i);
            ++confusion[static_cast<std::size_t>(labels[static_cast<std::size_t>(i)] * data_.classes +
                                                 predicted)];
        }
        return cross_entropy(Tensor<const Scalar>(logits), labels);
    }

  private:
    const Network<Scalar>& network_;
    const Dataset& data_;
    const InputTransform& transform_;
    AlignedVector<Scalar> input_, logits_;
};

/// Every rank's vector of doubles, one after the other.
std::vector<double> gather(const std::vector<double>& mine, std::span<const Index> lengths,
                           const Communicator& communicator) {
    std::vector<int> bytes;
    Index total = 0;
    for (const Index length : lengths) {
        bytes.push_back(static_cast<int>(length * static_cast<Index>(sizeof(double))));
        total += length;
    }
    std::vector<double> all(static_cast<std::size_t>(total));
    communicator.all_gather(mine.data(), all.data(), bytes, "adding up an evaluation");
    return all;
}

}  // namespace

template <class Scalar>
Evaluation evaluate(const Network<Scalar>& network, const Dataset& data, const InputTransform& transform,
                    const Communicator& communicator) {
    if (data.size() < 1) throw UsageError("evaluation needs at least one sample");
    if (transform.shape() != data.shape || network.input_shape().size() != data.shape.size())
        throw UsageError("the samples of data set '" + data.name + "' are " + data.shape.to_string() +
                         ", but the input transform takes " + transform.shape().to_string() +
                         ", and the network " + network.input_shape().to_string());
    if (network.output_shape().size() != data.classes)
        throw UsageError("the network has " + std::to_string(network.output_shape().size()) +
                         " outputs, but data set '" + data.name + "' has " + std::to_string(data.classes) +
                         " classes");
    const Index chunks = (data.size() + chunk_samples - 1) / chunk_samples;
    const auto first_chunk = [&](Index rank) { return rank * chunks / communicator.size(); };
    const auto cells = static_cast<std::size_t>(data.classes * data.classes);

    // What a rank sends: loss of each of its chunks, then its confusion counts (exact as doubles).
    ChunkEvaluator<Scalar> evaluator(network, data, transform);
    std::vector<Index> confusion(cells);
    std::vector<double> mine;
    for (Index chunk = first_chunk(communicator.rank()); chunk < first_chunk(communicator.rank() + 1);
         ++chunk)
        mine.push_back(evaluator.evaluate(chunk, confusion).loss);
    mine.insert(mine.end(), confusion.begin(), confusion.end());

    std::vector<Index> lengths;
    for (Index rank = 0; rank < communicator.size(); ++rank)
        lengths.push_back(first_chunk(rank + 1) - first_chunk(rank) + static_cast<Index>(cells));
    const std::vector<double> all = gather(mine, lengths, communicator);

    Evaluation result;
    result.classes = data.classes;
    result.confusion.assign(cells, 0);
    auto next = all.begin();
    for (const Index length : lengths) {
        for (Index i = static_cast<Index>(cells); i < length; ++i) result.loss += *next++;
        for (Index& count : result.confusion) count += static_cast<Index>(*next++);
    }
    Index correct = 0;
    for (int k = 0; k < data.classes; ++k)
        correct += result.confusion[static_cast<std::size_t>(k * data.classes + k)];
    result.loss /= static_cast<double>(data.size());
    result.accuracy = static_cast<double>(correct) / static_cast<double>(data.size());
    return result;
}

template LOCKSTEP_EXPORT Evaluation evaluate(const Network<float>&, const Dataset&, const InputTransform&,
                                             const Communicator&);
template LOCKSTEP_EXPORT Evaluation evaluate(const Network<double>&, const Dataset&, const InputTransform&,
                                             const Communicator&);

}  // namespace lockstep
