/// `lockstep bench infer`: inference of a network with its batch norms as they are, and folded.
#include "benchmark.hpp"
#include "options.hpp"

#include <lockstep/nn/fold.hpp>
#include <lockstep/train/chunk_inference.hpp>
#include <lockstep/train/trainer.hpp>

#include <algorithm>
#include <cmath>

namespace lockstep::launch {
namespace {

/// So that running averages are as training leaves them: they decide what can be folded.
constexpr Index training_steps = 100;

/// The largest difference, in parts of the largest output.
double difference(std::span<const float> some, std::span<const float> others) {
    double largest = 0, scale = 0;
    for (std::size_t i = 0; i < some.size(); ++i) {
        largest = std::max<double>(largest, std::abs(some[i] - others[i]));
        scale = std::max<double>(scale, std::abs(some[i]));
    }
    return largest / scale;
}

}  // namespace

std::vector<BenchRow> bench_infer(const Communicator& communicator, const RunOptions& options) {
    const DatasetPair data = load_dataset(options.data);
    TrainerOptions alone = options.trainer;
    alone.replicas = 1;
    Trainer<float> trainer(alone, *data.train, Communicator::self());
    for (Index i = 0; i < training_steps; ++i) trainer.step(i % trainer.steps_per_epoch());
    const Network<float>& network = trainer.network();
    const FoldedNetwork<float> folded(network);

    const Index samples = std::min(ChunkInference<float>::chunk_samples, data.train->size());
    const Shape& shape = network.input_shape();
    AlignedVector<float> inputs(static_cast<std::size_t>(samples * shape.size()));
    SampleReader<float> reader(*data.train, trainer.transform());
    for (Index i = 0; i < samples; ++i) reader.read_input(i, inputs.data() + i * shape.size());
    AlignedVector<float> outputs(static_cast<std::size_t>(samples * network.output_shape().size()));
    AlignedVector<float> folded_outputs(outputs.size());
    const auto infer = [&](const auto& layers, AlignedVector<float>& to) {
        layers.infer({inputs.data(), shape, samples}, {to.data(), network.output_shape(), samples});
    };
    const auto seconds =
        measure(communicator, {[&] { infer(network, outputs); }, [&] { infer(folded, folded_outputs); }},
                {.seconds_per_turn = 20e-3});

    BenchTable table(communicator,
                     "Inference of " + std::to_string(samples) + " samples at a time on each of " +
                         std::to_string(communicator.size()) + " ranks, after " +
                         std::to_string(training_steps) +
                         " steps of training; difference: of outputs, in millionths of the largest",
                     {{"batch norms", 11},
                      {"left", 5},
                      {"samples/s", 11, 0},
                      {"folded", 11, 0},
                      {"ratio", 6, 2},
                      {"difference", 11, 2}});
    const auto rate = [&](double time) { return static_cast<double>(samples * communicator.size()) / time; };
    table.row({std::ssize(network.batch_norms()), static_cast<Index>(folded.batch_norms()), rate(seconds[0]),
               rate(seconds[1]), seconds[0] / seconds[1], 1e6 * difference(outputs, folded_outputs)});
    return table.rows();
}

}  // namespace lockstep::launch
