#include <lockstep/train/trainer.hpp>

#include "agreed_run.hpp"
#include "not_finite.hpp"
#include "pass_checks.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/base/hash.hpp>
#include <lockstep/comm/agreement.hpp>
#include <lockstep/comm/failure_guard.hpp>
#include <lockstep/comm/nodes.hpp>
#include <lockstep/comm/tree_exchange.hpp>
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

}  // namespace

template <class Scalar>
Trainer<Scalar>::Trainer(TrainerOptions options, const Dataset& train, const Communicator& communicator,
                         DataSurvey found)
    : Trainer(agree_on_run(std::move(options), train, communicator, std::move(found), sizeof(Scalar)), train,
              communicator) {}

template <class Scalar>
Trainer<Scalar>::Trainer(AgreedRun run, const Dataset& train, const Communicator& communicator)
    : settings_(std::move(run.settings)),
      options_(std::move(run.options)),
      data_(train),
      communicator_(by_node(communicator)),
      map_(options_.replicas.value_or(communicator.size()), communicator.size()),
      hosted_(map_.block(communicator_.rank())),
      transform_(input_transform(*options_.input, train, run.found)),
      augmentation_(options_.augmentation, options_.seed),
      reader_(train, transform_, &augmentation_),
      sampler_(sampler_options(options_, train, map_)),
      schedule_(options_.schedule),
      network_(or_announce(communicator_,
                           [&] {
                               return Network<Scalar>(parse_model(options_.model), train.input_shape(),
                                                      batch_norm_setup(options_, map_, communicator_));
                           })),
      loss_(options_.loss),
      task_(task_of(train.target(), *loss_)),
      batch_loss_(loss_, train.target(), network_.output_shape().size()),
      optimizer_(or_announce(communicator_, [this] {
          return Optimizer<Scalar>(options_.optimizer, network_.layout().parameter_values(),
                                   weight_ranges(network_.layout()));
      })) {
    check_passes(options_, train, map_, sampler_, network_);
    or_announce(communicator_, [this] { set_up(); });
}

template <class Scalar>
void Trainer<Scalar>::set_up() {
    share_exchange_memory(communicator_);
    const Index batch = sampler_.largest_slice();
    network_.initialize(options_.seed);
    gradients_ = GradientSum<Scalar>::create(communicator_, map_, network_.layout().parameter_values(),
                                             {options_.reduction, options_.gradient_path});
    network_.prepare_training(batch, gradients_->cover());
    parameters_.emplace(communicator_, network_.parameter_memory(), optimizer_);
    const ParameterRange share = parameters_->share();
    if (options_.clip_norm) clipping_.emplace(*options_.clip_norm, share.end - share.begin);
    summary_.emplace(communicator_, map_, network_.batch_norms());
    gradients_ready_ = [this](Index offset) { gradients_->ready(offset); };

    const auto hosted = static_cast<std::size_t>(hosted_.size());
    const auto values = [batch](const Shape& shape) {
        return static_cast<std::size_t>(batch * shape.size());
    };
    input_storage_.assign(hosted, AlignedVector<Scalar>(values(data_.input_shape())));
    logit_gradient_storage_.assign(hosted, AlignedVector<Scalar>(values(network_.output_shape())));
    for (std::size_t r = 0; r < hosted; ++r) {
        inputs_.push_back({input_storage_[r].data(), network_.input_shape(), 0});
        logit_gradients_.push_back({logit_gradient_storage_[r].data(), network_.output_shape(), 0});
    }
    targets_.assign(hosted, std::vector<double>(static_cast<std::size_t>(batch * data_.target().size())));
    first_positions_.resize(hosted);
    sums_.resize(hosted);
}

template <class Scalar>
TrainingPosition Trainer<Scalar>::position() const {
    if (stage_ > Stage::between_steps)
        throw UsageError(
            "trainer: where a run stands is known between two steps: finish this one with update first");
    TrainingPosition position = done_;
    position.epoch = epoch_;
    return position;
}

template <class Scalar>
void Trainer<Scalar>::set_position(const TrainingPosition& position) {
    if (position.epoch < 0)
        throw UsageError("trainer: " + std::to_string(position.epoch) + " epochs cannot be complete");
    if (position.step < 0 || position.step > steps_per_epoch())
        throw UsageError("trainer: " + std::to_string(position.step) + " steps of an epoch of " +
                         std::to_string(steps_per_epoch()) + " cannot be complete");
    epoch_ = position.epoch;
    done_ = position;
    stage_ = Stage::between_epochs;
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
void Trainer<Scalar>::fill_inputs(SampleReader<Scalar>& reader, const Sampler& sampler, Index step) {
    const SampleRange batch = sampler.global_batch(step);
    const Index width = data_.input_shape().size(), target_width = data_.target().size();
    or_announce(communicator_, [&] {
        const ReadAhead::Watch reading(read_ahead_);
        for (std::size_t r = 0; r < inputs_.size(); ++r) {
            const SampleRange slice = sampler.replica_slice(step, hosted_.begin + static_cast<int>(r));
            first_positions_[r] = slice.begin - batch.begin;
            inputs_[r].batch = logit_gradients_[r].batch = slice.size();
            for (Index i = 0; i < slice.size(); ++i) {
                const Index sample = sampler.sample(slice.begin + i);
                reader.read_input(sample, input_storage_[r].data() + i * width);
                reader.read_target(sample, targets_[r].data() + i * target_width);
            }
        }
        reader.data().check_unchanged();
        if (read_ahead_.pays() && step + 1 < sampler.batches()) prefetch(reader.data(), sampler, step + 1);
    });
}

template <class Scalar>
void Trainer<Scalar>::prefetch(const Dataset& data, const Sampler& sampler, Index step) const {
    for (int replica = hosted_.begin; replica < hosted_.end; ++replica) {
        const SampleRange slice = sampler.replica_slice(step, replica);
        for (Index at = slice.begin; at < slice.end; ++at) data.prefetch(sampler.sample(at), 1);
    }
}

template <class Scalar>
void Trainer<Scalar>::pass_forward(std::uint64_t step) {
    or_announce(communicator_, [&] { outputs_ = network_.forward(context(step), inputs_); });
}

template <class Scalar>
void Trainer<Scalar>::compute_losses(std::uint64_t step, Index global_batch, int request) {
    or_announce(communicator_, [&] {
        for (std::size_t r = 0; r < outputs_.size(); ++r) {
            const auto& outputs = outputs_[r];
            const auto targets = std::span<const double>(targets_[r])
                                     .first(static_cast<std::size_t>(outputs.batch * data_.target().size()));
            sums_[r].loss = batch_loss_.sum(
                outputs, targets, global_batch,
                Tensor<Scalar>{logit_gradient_storage_[r].data(), outputs.shape, outputs.batch});
            sums_[r].score = score_sums(task_, data_.target(), outputs, targets);
        }
    });
    summary_->start(step, sums_, request);
}

template <class Scalar>
void Trainer<Scalar>::expect(Stage stage, const char* call) {
    if (stage_ == stage) return;
    static constexpr const char* due[] = {
        "begin_epoch", "load_batch or end_epoch", "forward", "compute_loss", "backward", "update"};
    throw UsageError(std::string("trainer: ") + call + " is called where " +
                     due[static_cast<std::size_t>(stage_)] +
                     " is due: a step is load_batch, forward, compute_loss, backward, update");
}

template <class Scalar>
void Trainer<Scalar>::expect_no_step(const char* call) {
    if (stage_ != Stage::between_epochs) expect(Stage::between_steps, call);
}

template <class Scalar>
void Trainer<Scalar>::begin_epoch() {
    expect_no_step("begin_epoch");
    if (in_epoch()) done_ = {};
    check_state();
    parameters_->publish();
    sampler_.start_epoch(epoch_);
    augmentation_.start_epoch(epoch_);
    stage_ = Stage::between_steps;
}

template <class Scalar>
void Trainer<Scalar>::end_epoch() {
    expect(Stage::between_steps, "end_epoch");
    const std::string parameter = last_not_finite(network_.layout(), std::as_const(network_).parameters());
    if (!parameter.empty())
        throw NumericalError("the parameters are no longer finite after epoch " + std::to_string(epoch_ + 1) +
                             ": " + parameter +
                             ": lower the learning rate, warm it up, or scale inputs and targets down");
    ++epoch_;
    done_ = {};
    stage_ = Stage::between_epochs;
}

template <class Scalar>
void Trainer<Scalar>::load_batch(Index step_in_epoch) {
    expect(Stage::between_steps, "load_batch");
    if (step_in_epoch < 0 || step_in_epoch >= steps_per_epoch())
        throw UsageError("trainer: there is no step " + std::to_string(step_in_epoch) + " in an epoch of " +
                         std::to_string(steps_per_epoch()));
    step_ = step_in_epoch;
    fill_inputs(reader_, sampler_, step_);
    stage_ = Stage::loaded;
}

template <class Scalar>
void Trainer<Scalar>::forward() {
    expect(Stage::loaded, "forward");
    pass_forward(number_of_step());
    stage_ = Stage::has_outputs;
}

template <class Scalar>
void Trainer<Scalar>::compute_loss() {
    expect(Stage::has_outputs, "compute_loss");
    compute_losses(number_of_step(), sampler_.global_batch(step_).size(), std::exchange(request_, 0));
    stage_ = Stage::has_loss;
}

template <class Scalar>
void Trainer<Scalar>::backward() {
    expect(Stage::has_loss, "backward");
    or_announce(communicator_, [&] {
        network_.backward(context(number_of_step()), inputs_, logit_gradients_, gradients_ready_);
    });
    stage_ = Stage::has_gradients;
}

template <class Scalar>
void Trainer<Scalar>::check_gradients(const Scalar* gradients) const {
    const std::string bad =
        last_not_finite(network_.layout(), std::span(gradients, std::as_const(network_).parameters().size()));
    if (bad.empty()) return;  // finite, and of a norm beyond all numbers
    throw NumericalError("the loss is finite at epoch " + std::to_string(epoch_ + 1) + ", step " +
                         std::to_string(step_) + ", but the gradient of parameter " + bad +
                         " is not: scale inputs and targets down, or see what a layer's backward computes");
}

template <class Scalar>
StepResult Trainer<Scalar>::update(double learning_rate) {
    expect(Stage::has_gradients, "update");
    const Scalar* const gradients = gradients_->finish();
    const StepSums sums = summary_->finish();
    stage_ = Stage::between_steps;
    const Index samples = sampler_.global_batch(step_).size();
    const double loss = sums.loss / static_cast<double>(samples);
    if (!std::isfinite(loss))
        throw NumericalError("the loss is no longer finite (" +
                             std::string(std::isnan(loss) ? "NaN" : "infinite") + ") at epoch " +
                             std::to_string(epoch_ + 1) + ", step " + std::to_string(step_) + ": " +
                             why_loss_is_not_finite(network_, loss_->text(), optimizer_.step_count() > 0));
    parameters_->end_reading(learning_rate, [this] { return hash_of_values(); });
    if (!std::isfinite(learning_rate)) refuse_rate(learning_rate);
    for (std::size_t i = 0; i < network_.batch_norms().size(); ++i)
        network_.batch_norms()[i]->norm().averages().update(summary_->moments(i));
    step_parameters({gradients, std::as_const(network_).parameters().size()}, learning_rate);
    done_.step = step_ + 1;
    done_.loss += loss * static_cast<double>(samples);
    done_.score += sums.score;
    return {step_, samples, loss, sums.score, summary_->request()};
}

template <class Scalar>
void Trainer<Scalar>::refuse_rate(double learning_rate) const {
    const std::string text =
        "trainer: the learning rate of step " + std::to_string(step_) + " is " + shortest_text(learning_rate);
    // The ranks of this node have the same; those of others may have a number, and would wait.
    if (!parameters_->shared() || nodes_of(communicator_)->count() > 1) communicator_.announce_failure(text);
    throw UsageError(text);
}

template <class Scalar>
void Trainer<Scalar>::step_parameters(std::span<const Scalar> gradients, double learning_rate) {
    const ParameterRange share = parameters_->share();
    std::span<const Scalar> mine = gradients.subspan(static_cast<std::size_t>(share.begin),
                                                     static_cast<std::size_t>(share.end - share.begin));
    if (clipping_) {
        mine = clipping_->apply(gradients, share.begin, share.end);
        if (!std::isfinite(clipping_->norm())) check_gradients(gradients.data());
    }
    or_announce(communicator_, [&] { parameters_->step(mine, learning_rate); });
    parameters_->end_step();
}

template <class Scalar>
std::uint64_t Trainer<Scalar>::hash_of_values() const {
    Hash64 hash;
    hash.add(std::as_bytes(network_.parameters()));
    hash.add(std::as_bytes(network_.averages()));
    for (const auto& state : optimizer_.state()) hash.add(std::as_bytes(state.values));
    return hash.value();
}

template <class Scalar>
StepResult Trainer<Scalar>::step(Index step_in_epoch) {
    if (stage_ == Stage::between_epochs) begin_epoch();
    load_batch(step_in_epoch);  // 1. The sampler slices the global batch; each hosted replica reads.
    forward();                  // 2. Layer by layer over the hosted replicas.
    compute_loss();             // 3. Loss and its gradient, divided by the size of the global batch.
    backward();                 // 4. Last layer to first; gradients that are complete start on their way.
    return update(learning_rate(step_in_epoch));  // 5. Finish the sums; running averages; the optimizer.
}

template <class Scalar>
void Trainer<Scalar>::check_state() {
    Hash64 moments;
    for (const auto& state : std::as_const(optimizer_).state()) moments.add(std::as_bytes(state.values));
    check_agreement(communicator_, "the state of the training",
                    {{"epoch", std::to_string(epoch_)},
                     {"step", std::to_string(done_.step)},
                     {"parameters and running averages", to_hex16(fingerprint(network_))},
                     {"optimizer's steps", std::to_string(optimizer_.step_count())},
                     {"optimizer's state", to_hex16(moments.value())}});
}

template <class Scalar>
EpochResult Trainer<Scalar>::run_epoch(const std::function<void(const StepResult&)>& each_step) {
    const auto start = std::chrono::steady_clock::now();
    if (!in_epoch()) begin_epoch();
    EpochResult result;
    stops_ = false;
    while (done_.step < steps_per_epoch() && !stops_) {
        const StepResult one = step(done_.step);
        result.samples += one.samples;
        if (each_step) or_announce(communicator_, [&] { each_step(one); });
    }
    result.complete = done_.step == steps_per_epoch();
    result.loss = done_.loss / static_cast<double>(data_.size());
    result.score = score(task_, done_.score);
    if (result.complete) end_epoch();
    result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return result;
}

// But for the passes that are no steps: trainer_observation.cpp.
template class Trainer<float>;
template class Trainer<double>;

}  // namespace lockstep
