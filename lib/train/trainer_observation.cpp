// The Trainer's passes that are no training steps: in training mode, over the steps' own buffers, but no gradient is
// computed and no parameter changes.
#include <lockstep/base/error.hpp>
#include <lockstep/comm/agreement.hpp>
#include <lockstep/comm/failure_guard.hpp>
#include <lockstep/norm/moments.hpp>
#include <lockstep/train/data_survey.hpp>
#include <lockstep/train/trainer.hpp>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace lockstep {
namespace {

/// Where the numbers of passes that are no training steps begin: they draw their own dropout.
constexpr std::uint64_t beyond_all_steps = std::uint64_t{1} << 62;

}  // namespace

template <class Scalar>
StepSums Trainer<Scalar>::observe(SampleReader<Scalar>& reader, const Sampler& sampler, Index batch) {
    const std::uint64_t number = beyond_all_steps + static_cast<std::uint64_t>(batch);
    fill_inputs(reader, sampler, batch);
    pass_forward(number);
    compute_losses(number, sampler.global_batch(batch).size());
    return summary_->finish();
}

template <class Scalar>
void Trainer<Scalar>::recompute_running_averages() {
    if (options_.precise_batches == 0) return;
    expect(Stage::between_epochs, "recompute_running_averages");
    sampler_.start_epoch(std::max<Index>(epoch_ - 1, 0));
    augmentation_.start_epoch(std::max<Index>(epoch_ - 1, 0));
    const auto layers = network_.batch_norms();
    std::vector<PopulationMoments> populations;
    for (const BatchNorm<Scalar>* layer : layers) populations.emplace_back(layer->norm().channels());
    for (Index batch = 0; batch < options_.precise_batches; ++batch) {
        observe(reader_, sampler_, batch);
        for (std::size_t i = 0; i < layers.size(); ++i) populations[i].add(summary_->moments(i));
    }
    for (std::size_t i = 0; i < layers.size(); ++i)
        layers[i]->norm().averages().set(populations[i].moments().data());
}

template <class Scalar>
TrainingModeResult Trainer<Scalar>::evaluate_in_training_mode(const Dataset& data) {
    expect_no_step("evaluate_in_training_mode");
    std::optional<SampleReader<Scalar>> reader;
    Settings outlines;
    const std::string fault = fault_of([&] {
        reader.emplace(data, transform_);
        if (data.target() != data_.target())
            throw UsageError("the samples of data set " + data.name() + " are " + data.target().to_string() +
                             ", but the training data are " + data_.target().to_string());
        outlines.emplace_back("data", outline(data));
    });
    check_agreement(communicator_, "an evaluation in training mode", std::move(outlines), fault);

    const Index global_batch = sampler_.largest_slice() * map_.replicas();
    TrainingModeResult result;
    result.samples = data.size() / global_batch * global_batch;
    if (result.samples == 0) return result;
    Sampler sampler({.samples = result.samples,
                     .global_batch = global_batch,
                     .replicas = map_.replicas(),
                     .seed = options_.seed,
                     .shuffle = true});
    StepSums sums;
    for (Index batch = 0; batch < sampler.batches(); ++batch) {
        sums += observe(*reader, sampler, batch);
    }
    result.loss = sums.loss / static_cast<double>(result.samples);
    result.score = score(task_, sums.score);
    return result;
}

template StepSums Trainer<float>::observe(SampleReader<float>&, const Sampler&, Index);
template StepSums Trainer<double>::observe(SampleReader<double>&, const Sampler&, Index);
template void Trainer<float>::recompute_running_averages();
template void Trainer<double>::recompute_running_averages();
template TrainingModeResult Trainer<float>::evaluate_in_training_mode(const Dataset&);
template TrainingModeResult Trainer<double>::evaluate_in_training_mode(const Dataset&);

}  // namespace lockstep
