#include <lockstep/base/error.hpp>
#include <lockstep/base/hash.hpp>
#include <lockstep/comm/agreement.hpp>
#include <lockstep/comm/instruction_set_agreement.hpp>
#include <lockstep/norm/moments.hpp>
#include <lockstep/train/trainer.hpp>
#include <lockstep/train/weights.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

namespace lockstep {
namespace {

/// The optimizer's view of the flat array: where weights lie.
std::vector<ParameterRange> weight_ranges(const ParameterLayout& layout) {
    std::vector<ParameterRange> ranges;
    for (const ParameterInfo& info : layout.parameters())
        if (info.kind == ParameterKind::weight) ranges.push_back({info.offset, info.end()});
    return ranges;
}

/// What must hold before anything is sized by the options; the rest is checked with the network at hand.
void check(const TrainerOptions& options, const Dataset& data, Index replicas) {
    if (replicas < 1) throw UsageError("replicas must be at least 1, but is " + std::to_string(replicas));
    if (replicas > data.size())
        throw UsageError("replicas: " + std::to_string(replicas) + " replicas cannot share " +
                         std::to_string(data.size()) + " training samples: ask for at most " +
                         std::to_string(data.size()));
    if (options.batch_size < 1)
        throw UsageError("batch size must be at least 1, but is " + std::to_string(options.batch_size));
}

/// The options as all ranks have them, with the number of replicas that they stand for.
template <class Scalar>
TrainerOptions agreed(TrainerOptions options, const Dataset& data, const Communicator& communicator,
                      Settings& settings) {
    const Index replicas = options.replicas.value_or(communicator.size());
    // A batch larger than the data set is the data set; the global batch must stay a number.
    options.batch_size = std::min(options.batch_size, data.size());
    std::string fault;
    try {
        check(options, data, replicas);
        settings = settings_of(options, describe(data), communicator.size(), sizeof(Scalar));
    } catch (const UsageError& error) {
        fault = error.what();
    }
    // How long to train does not change what is computed, but all ranks stop together.
    Settings common = settings;
    common.emplace_back("epochs in all", std::to_string(options.schedule.epochs));
    common.emplace_back("gradient path",
                        options.gradient_path == GradientPath::messages ? "messages" : "automatic");
    check_agreement(communicator, "training", common, fault);
    agree_on_instruction_set(communicator);
    return options;
}

BatchNormSetup batch_norm_setup(const TrainerOptions& options, const ReplicaMap& map,
                                const Communicator& communicator) {
    return {.communicator = communicator,
            .placement = {.replicas = map.replicas(), .group = options.batch_norm.group_size(map.replicas())},
            .epsilon = options.epsilon,
            .momentum = options.running_momentum};
}

SamplerOptions sampler_options(const TrainerOptions& options, const Dataset& data, const ReplicaMap& map) {
    return {.samples = data.size(),
            .global_batch = options.batch_size * map.replicas(),
            .replicas = map.replicas(),
            .seed = options.seed,
            .shuffle = options.shuffle};
}

/// Where the numbers of passes that are no training steps begin: they draw their own dropout.
constexpr std::uint64_t beyond_all_steps = std::uint64_t{1} << 62;

}  // namespace

template <class Scalar>
Trainer<Scalar>::Trainer(TrainerOptions options, const Dataset& train, const Communicator& communicator)
    : options_(agreed<Scalar>(std::move(options), train, communicator, settings_)),
      data_(train),
      communicator_(communicator),
      map_(options_.replicas.value_or(communicator.size()), communicator.size()),
      hosted_(map_.block(communicator.rank())),
      transform_(options_.input, train),
      augmentation_(options_.augmentation, options_.seed),
      sampler_(sampler_options(options_, train, map_)),
      schedule_(options_.schedule),
      network_(parse_model(options_.model), train.shape, batch_norm_setup(options_, map_, communicator)),
      optimizer_(options_.optimizer, network_.layout().parameter_values(), weight_ranges(network_.layout())) {
    check_options();
    check_statistics_groups();
    const Index batch = sampler_.largest_slice();
    network_.initialize(options_.seed);
    reducer_.emplace(communicator_, map_, network_.layout().parameter_values(),
                     typename GradientReducer<Scalar>::Options{options_.reduction, options_.gradient_path});
    network_.prepare_training(batch, reducer_->cover());
    summary_.emplace(communicator_, map_, network_.batch_norms());
    gradients_ready_ = [this](Index offset) { reducer_->ready(offset); };

    const auto hosted = static_cast<std::size_t>(hosted_.size());
    const auto values = [batch](const Shape& shape) {
        return static_cast<std::size_t>(batch * shape.size());
    };
    input_storage_.assign(hosted, AlignedVector<Scalar>(values(data_.shape)));
    logit_gradient_storage_.assign(hosted, AlignedVector<Scalar>(values(network_.output_shape())));
    for (std::size_t r = 0; r < hosted; ++r) {
        inputs_.push_back({input_storage_[r].data(), network_.input_shape(), 0});
        logit_gradients_.push_back({logit_gradient_storage_[r].data(), network_.output_shape(), 0});
    }
    labels_.assign(hosted, std::vector<std::uint8_t>(static_cast<std::size_t>(batch)));
    first_positions_.resize(hosted);
    losses_.resize(hosted);
    augmented_.resize(static_cast<std::size_t>(data_.shape.size()));
}

template <class Scalar>
void Trainer<Scalar>::check_options() const {
    if (options_.schedule.epochs < 1) throw UsageError("epochs must be at least 1");
    if (network_.output_shape().size() != data_.classes)
        throw UsageError("model: the last layer gives " + std::to_string(network_.output_shape().size()) +
                         " values, but data set '" + data_.name + "' has " + std::to_string(data_.classes) +
                         " classes: end the model with 'linear " + std::to_string(data_.classes) + "'");
    if (options_.precise_batches < 0 || options_.precise_batches > sampler_.batches())
        throw UsageError("precise-bn: " + std::to_string(options_.precise_batches) +
                         " batches are asked for, but an epoch has " + std::to_string(sampler_.batches()));
}

template <class Scalar>
void Trainer<Scalar>::check_statistics_groups() const {
    const auto groups = map_.groups(options_.batch_norm.group_size(map_.replicas()));
    for (Index step = 0; step < sampler_.batches(); ++step)
        for (const ReplicaRange group : groups) {
            Index samples = 0;
            for (int replica = group.begin; replica < group.end; ++replica)
                samples += sampler_.replica_slice(step, replica).size();
            if (samples != 1) continue;
            for (const BatchNorm<Scalar>* layer : network_.batch_norms())
                if (layer->input_shape().pixels() == 1)
                    throw UsageError(
                        "model, layer " + layer->norm().options().name +
                        " (batchnorm): a statistics group has one value per channel at step " +
                        std::to_string(step) +
                        ", which has no variance: use a larger batch-size, bn sync or larger groups");
        }
}

template <class Scalar>
void Trainer<Scalar>::set_epoch(Index complete) {
    epoch_ = complete;
}

template <class Scalar>
double Trainer<Scalar>::learning_rate(Index step_in_epoch) const {
    return schedule_.learning_rate_at(static_cast<double>(epoch_) +
                                      static_cast<double>(step_in_epoch) /
                                          static_cast<double>(steps_per_epoch()));
}

template <class Scalar>
StepContext Trainer<Scalar>::context(std::uint64_t step) const {
    return {.seed = options_.seed, .step = step, .first_positions = first_positions_};
}

template <class Scalar>
void Trainer<Scalar>::fill_inputs(const Dataset& data, const Sampler& sampler, Index step,
                                  const Augmentation& augmentation) {
    const SampleRange batch = sampler.global_batch(step);
    for (std::size_t r = 0; r < inputs_.size(); ++r) {
        const SampleRange slice = sampler.replica_slice(step, hosted_.begin + static_cast<int>(r));
        first_positions_[r] = slice.begin - batch.begin;
        inputs_[r].batch = logit_gradients_[r].batch = slice.size();
        for (Index i = 0; i < slice.size(); ++i) {
            const Index sample = sampler.sample(slice.begin + i);
            const std::uint8_t* pixels = data.sample(sample);
            if (augmentation.enabled()) {
                augmentation.apply(sample, data.shape, pixels, augmented_.data());
                pixels = augmented_.data();
            }
            transform_.apply(pixels, input_storage_[r].data() + i * data.shape.size());
            labels_[r][static_cast<std::size_t>(i)] = data.labels[static_cast<std::size_t>(sample)];
        }
    }
}

template <class Scalar>
void Trainer<Scalar>::compute_losses(std::span<const Tensor<const Scalar>> logits, Index global_batch) {
    for (std::size_t r = 0; r < logits.size(); ++r)
        losses_[r] = cross_entropy(
            logits[r], labels_[r], global_batch,
            Tensor<Scalar>{logit_gradient_storage_[r].data(), network_.output_shape(), logits[r].batch});
}

template <class Scalar>
StepResult Trainer<Scalar>::step(Index step_in_epoch) {
    const Index samples = sampler_.global_batch(step_in_epoch).size();

    // 1. The sampler slices the global batch; each hosted replica fills its input.
    fill_inputs(data_, sampler_, step_in_epoch, augmentation_);
    const StepContext now = context(static_cast<std::uint64_t>(epoch_ * steps_per_epoch() + step_in_epoch));

    // 2. Forward, layer by layer over the hosted replicas.
    const auto logits = network_.forward(now, inputs_);

    // 3. Loss and its gradient, divided by the size of the global batch.
    compute_losses(logits, samples);
    summary_->start(losses_);

    // 4. Backward, last layer to first; full buckets of gradients start on their way.
    network_.backward(now, inputs_, logit_gradients_, gradients_ready_);

    // 5. Finish the buckets; update the running averages; the optimizer steps over the flat arrays.
    const Scalar* const gradients = reducer_->finish();
    const LossSums sums = summary_->finish();
    const double loss = sums.loss / static_cast<double>(samples);
    if (!std::isfinite(loss))
        throw NumericalError("the loss is no longer finite (" +
                             std::string(std::isnan(loss) ? "NaN" : "infinite") + ") at epoch " +
                             std::to_string(epoch_ + 1) + ", step " + std::to_string(step_in_epoch) +
                             ": lower the learning rate, or warm it up");
    for (std::size_t i = 0; i < network_.batch_norms().size(); ++i)
        network_.batch_norms()[i]->norm().update_running_averages(summary_->moments(i));
    optimizer_.step(network_.parameters(), {gradients, network_.parameters().size()},
                    learning_rate(step_in_epoch));
    return {step_in_epoch, samples, loss, static_cast<Index>(sums.correct)};
}

template <class Scalar>
void Trainer<Scalar>::check_state() {
    Hash64 moments;
    for (const auto& state : optimizer_.state()) moments.add(std::as_bytes(std::span(state.values)));
    check_agreement(communicator_, "the state of the training",
                    {{"epoch", std::to_string(epoch_)},
                     {"parameters and running averages", to_hex16(fingerprint(network_))},
                     {"optimizer's steps", std::to_string(optimizer_.step_count())},
                     {"optimizer's state", to_hex16(moments.value())}});
}

template <class Scalar>
EpochResult Trainer<Scalar>::run_epoch(const std::function<void(const StepResult&)>& each_step) {
    const auto start = std::chrono::steady_clock::now();
    check_state();
    sampler_.start_epoch(epoch_);
    augmentation_.start_epoch(epoch_);
    EpochResult result;
    Index correct = 0;
    for (Index i = 0; i < steps_per_epoch(); ++i) {
        const StepResult one = step(i);
        result.loss += one.loss * static_cast<double>(one.samples);
        correct += one.correct;
        if (each_step) each_step(one);
    }
    ++epoch_;
    result.loss /= static_cast<double>(data_.size());
    result.accuracy = static_cast<double>(correct) / static_cast<double>(data_.size());
    result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return result;
}

template <class Scalar>
void Trainer<Scalar>::recompute_running_averages() {
    if (options_.precise_batches == 0) return;
    sampler_.start_epoch(std::max<Index>(epoch_ - 1, 0));
    augmentation_.start_epoch(std::max<Index>(epoch_ - 1, 0));
    const auto layers = network_.batch_norms();
    std::vector<std::vector<double>> population;
    for (const BatchNorm<Scalar>* layer : layers)
        population.emplace_back(static_cast<std::size_t>(moments_size(layer->norm().channels())));
    for (Index batch = 0; batch < options_.precise_batches; ++batch) {
        fill_inputs(data_, sampler_, batch, augmentation_);
        const auto logits =
            network_.forward(context(beyond_all_steps + static_cast<std::uint64_t>(batch)), inputs_);
        compute_losses(logits, sampler_.global_batch(batch).size());
        summary_->start(losses_);
        summary_->finish();
        for (std::size_t i = 0; i < layers.size(); ++i)
            merge_moments(population[i].data(), summary_->moments(i), layers[i]->norm().channels());
    }
    for (std::size_t i = 0; i < layers.size(); ++i)
        layers[i]->norm().set_running_averages(population[i].data());
}

template <class Scalar>
TrainingModeResult Trainer<Scalar>::evaluate_in_training_mode(const Dataset& data) {
    const Index global_batch = sampler_.largest_slice() * map_.replicas();
    TrainingModeResult result;
    result.samples = data.size() / global_batch * global_batch;
    if (result.samples == 0) return result;
    Sampler sampler({.samples = result.samples,
                     .global_batch = global_batch,
                     .replicas = map_.replicas(),
                     .seed = options_.seed,
                     .shuffle = true});
    const Augmentation none({}, options_.seed);
    LossSums sums;
    for (Index batch = 0; batch < sampler.batches(); ++batch) {
        fill_inputs(data, sampler, batch, none);
        compute_losses(
            network_.forward(context(beyond_all_steps + static_cast<std::uint64_t>(batch)), inputs_),
            global_batch);
        summary_->start(losses_);
        const LossSums one = summary_->finish();
        sums.loss += one.loss;
        sums.correct += one.correct;
    }
    result.loss = sums.loss / static_cast<double>(result.samples);
    result.accuracy = sums.correct / static_cast<double>(result.samples);
    return result;
}

template class Trainer<float>;
template class Trainer<double>;

}  // namespace lockstep
