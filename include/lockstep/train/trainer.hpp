/// Training: the step of data-parallel SGD with batch normalization, and the state of a run.
///
/// A run is a function of (options, data, seed, number of replicas) and never of the number of ranks.
#pragma once

#include <lockstep/base/aligned_vector.hpp>
#include <lockstep/base/export.hpp>
#include <lockstep/comm/communicator.hpp>
#include <lockstep/comm/gradient_sum.hpp>
#include <lockstep/comm/replica_map.hpp>
#include <lockstep/data/augmentation.hpp>
#include <lockstep/data/dataset.hpp>
#include <lockstep/data/input_transform.hpp>
#include <lockstep/data/read_ahead.hpp>
#include <lockstep/data/sample_reader.hpp>
#include <lockstep/data/sampler.hpp>
#include <lockstep/nn/loss.hpp>
#include <lockstep/nn/network.hpp>
#include <lockstep/train/batch_norm_mode.hpp>
#include <lockstep/train/data_survey.hpp>
#include <lockstep/train/gradient_clipping.hpp>
#include <lockstep/train/node_parameters.hpp>
#include <lockstep/train/optimizer.hpp>
#include <lockstep/train/schedule.hpp>
#include <lockstep/train/score.hpp>
#include <lockstep/train/step_summary.hpp>
#include <lockstep/train/trainer_options.hpp>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace lockstep {

/// What a step tells: over the global batch, alike on all ranks.
struct StepResult {
    Index step = 0;  ///< of the epoch
    Index samples = 0;
    double loss = 0;  ///< mean over the samples
    ScoreSums score;  ///< see score.hpp
    int request = 0;  ///< the largest number that any rank has requested: see Trainer::request
};

struct EpochResult {
    double loss = 0;       ///< mean over the epoch's samples, each with the parameters of its step
    double score = 0;      ///< of the task: see score.hpp
    Index samples = 0;     ///< that this call has trained: all, unless the epoch was begun before
    double seconds = 0;    ///< of this call
    bool complete = true;  ///< otherwise it was stopped, and the rest is not known yet
};

/// Where a run stands between two steps. All that is random follows from it.
struct TrainingPosition {
    Index epoch = 0;  ///< epochs that are complete
    Index step = 0;   ///< steps of the next one that are complete
    // Sums over the samples of these steps.
    double loss = 0;
    ScoreSums score{};
};

/// What a network in training mode makes of data that it is not trained on.
struct TrainingModeResult {
    Index samples = 0;  ///< 0: the data are fewer than one global batch, and the rest is not known
    double loss = 0;
    double score = 0;
};

struct AgreedRun;

/// Owns the network, the optimizer and all buffers; the data set stays the caller's and outlives it. Every function
/// that is not const is collective. What a data set, layer, loss, rule or callback of a user's own throws on one rank
/// goes on to the caller there, while the other ranks get a CommunicationError with its text. Instantiated for float
/// and double.
template <class Scalar>
class LOCKSTEP_EXPORT Trainer {
  public:
    /// Compares options and data over all ranks first, and agrees on an instruction set with them (see
    /// instruction_set_agreement.hpp). Throws CommunicationError on every rank, naming what differs and both sides,
    /// if they do not agree; UsageError on every rank if the options do not fit together or the data. `found` may be
    /// what a survey of the same data has found before, on all of these ranks: then it is not made again.
    Trainer(TrainerOptions options, const Dataset& train, const Communicator& communicator,
            DataSurvey found = {});

    const TrainerOptions& options() const { return options_; }
    /// What the bits of this run depend on; equal lists give equal bits. See settings_of.
    const Settings& settings() const { return settings_; }
    const ReplicaMap& replica_map() const { return map_; }
    /// The given ranks, numbered node by node (see by_node): replica_map() is about these numbers.
    const Communicator& communicator() const { return communicator_; }
    /// How gradients get from rank to rank, in words.
    std::string gradient_path() const { return gradients_->path(); }
    const Dataset& data() const { return data_; }
    const InputTransform& transform() const { return transform_; }
    /// What the data are trained with: options().loss, or what fits the target.
    const Loss& loss() const { return loss_; }
    Task task() const { return task_; }
    Network<Scalar>& network() { return network_; }
    const Network<Scalar>& network() const { return network_; }
    Optimizer<Scalar>& optimizer() { return optimizer_; }
    const Optimizer<Scalar>& optimizer() const { return optimizer_; }

    Index steps_per_epoch() const { return sampler_.batches(); }
    /// Epochs that are complete.
    Index epoch() const { return epoch_; }
    /// Whether another one has begun.
    bool in_epoch() const { return stage_ != Stage::between_epochs; }
    /// Throws UsageError in the middle of a step.
    TrainingPosition position() const;
    /// Continues there, with run_epoch or begin_epoch; parameters and the optimizer's state are set by the caller.
    void set_position(const TrainingPosition& position);
    /// Continues after so many complete epochs.
    void set_epoch(Index complete) { set_position({.epoch = complete}); }

    /// Trains one epoch, or what is left of one that has begun; `each_step` may be empty. Throws as begin_epoch and
    /// update do.
    EpochResult run_epoch(const std::function<void(const StepResult&)>& each_step = {});
    /// For `each_step`: run_epoch returns after the step at hand, and may be called again to go on. The same on every
    /// rank, which request() helps to agree on.
    void stop_epoch() { stops_ = true; }
    /// Tells all ranks a number above 0, of a meaning of the caller's, with what the next step exchanges anyway. Any rank
    /// may; each finds the largest in that step's StepResult. A signal that only one process gets, say. Not collective.
    void request(int number) { request_ = std::max(request_, number); }
    /// One step of the epoch at hand, which it begins where none has begun: 0 … steps_per_epoch() − 1, in order, at the
    /// rate of the schedule.
    StepResult step(Index step_in_epoch);

    // A loop of one's own: begin_epoch, then for each step these five in this order, then end_epoch; the same bits as
    // run_epoch, given the same rates. UsageError for another order.

    /// Before it the ranks compare parameters, averages and the optimizer's state, in one exchange: CommunicationError
    /// on every rank if a caller has set them on some ranks alone (or trained at different rates), or if the ranks'
    /// machines have computed different bits. Between two steps of an epoch it begins that one anew; after set_position
    /// it goes on at that step.
    void begin_epoch();
    /// Reads what the hosted replicas see at that step. Throws FileError or NumericalError where a sample cannot be
    /// read or is not finite.
    void load_batch(Index step_in_epoch);
    /// Layer by layer over the hosted replicas.
    void forward();
    /// Loss and its gradient, divided by the size of the global batch.
    void compute_loss();
    /// Last layer to first; gradients that are complete start on their way to the other ranks.
    void backward();
    /// Finishes the sums, updates the running averages and steps the optimizer. Throws NumericalError, alike on all
    /// ranks, naming the step, when the loss is no longer finite; UsageError where the rate is not. Where the ranks of a
    /// node share its parameters, CommunicationError on all ranks if their rates differ, or what callers have written.
    StepResult update(double learning_rate);
    void end_epoch();

    /// What the schedule has for a step of the epoch at hand.
    double learning_rate(Index step_in_epoch) const;
    /// The outputs for the hosted replicas' samples, from forward to the next load_batch.
    std::span<const Tensor<const Scalar>> outputs() const { return outputs_; }

    /// PreciseBN: replaces the running averages by the exact moments of the first options().precise_batches
    /// global batches of the last complete epoch's order, under the parameters at hand (Wu, Johnson: "Rethinking
    /// 'batch' in BatchNorm", 2021, arXiv 2105.07576). Does nothing where that option is 0.
    void recompute_running_averages();

    /// Loss and accuracy where batch norm uses the mini-batches' own statistics, over the same groups as in
    /// training, and dropout drops: in full, shuffled global batches of `data`, whose samples are shaped as
    /// the training data's; what does not fill a batch is left out. Changes no parameter and no average.
    TrainingModeResult evaluate_in_training_mode(const Dataset& data);

  private:
    Trainer(AgreedRun run, const Dataset& train, const Communicator& communicator);

    enum class Stage { between_epochs, between_steps, loaded, has_outputs, has_loss, has_gradients };

    /// Throws unless the step has come that far.
    void expect(Stage stage, const char* call);
    /// Throws in the middle of a step.
    void expect_no_step(const char* call);
    void check_state();
    /// Throws NumericalError naming a parameter whose gradient is not finite, if there is one.
    void check_gradients(const Scalar* gradients) const;
    void set_up();
    [[noreturn]] void refuse_rate(double learning_rate) const;
    /// Steps the optimizer; over this rank's share where the node has the parameters.
    void step_parameters(std::span<const Scalar> gradients, double learning_rate);
    std::uint64_t hash_of_values() const;
    void fill_inputs(SampleReader<Scalar>& reader, const Sampler& sampler, Index step);
    void prefetch(const Dataset& data, const Sampler& sampler, Index step) const;
    void pass_forward(std::uint64_t step);
    /// And starts to add them up over the ranks.
    void compute_losses(std::uint64_t step, Index global_batch, int request = 0);
    /// A pass in training mode that is no training step; its moments are in the summary.
    StepSums observe(SampleReader<Scalar>& reader, const Sampler& sampler, Index batch);
    std::uint64_t number_of_step() const {
        return static_cast<std::uint64_t>(epoch_ * steps_per_epoch() + step_);
    }
    StepContext context(std::uint64_t step) const;

    Settings settings_;
    TrainerOptions options_;
    const Dataset& data_;
    Communicator communicator_;
    ReplicaMap map_;
    ReplicaRange hosted_;
    InputTransform transform_;
    Augmentation augmentation_;
    SampleReader<Scalar> reader_;
    ReadAhead read_ahead_;
    Sampler sampler_;
    Schedule schedule_;
    std::unique_ptr<GradientSum<Scalar>> gradients_;  // owns what the network writes gradients to
    Network<Scalar> network_;
    Loss loss_;
    Task task_;
    BatchLoss<Scalar> batch_loss_;
    std::optional<GradientClipping<Scalar>> clipping_;
    Optimizer<Scalar> optimizer_;
    std::optional<NodeParameters<Scalar>> parameters_;  // and the optimizer's state
    std::optional<StepSummary<Scalar>> summary_;
    GradientsReady gradients_ready_;
    Index epoch_ = 0;
    Index step_ = 0;         // of the epoch, at hand
    TrainingPosition done_;  // but for the epoch
    Stage stage_ = Stage::between_epochs;
    int request_ = 0;
    bool stops_ = false;
    std::span<const Tensor<const Scalar>> outputs_;

    // One entry for each hosted replica.
    std::vector<AlignedVector<Scalar>> input_storage_, logit_gradient_storage_;
    std::vector<Tensor<const Scalar>> inputs_, logit_gradients_;
    std::vector<std::vector<double>> targets_;
    std::vector<Index> first_positions_;
    std::vector<StepSums> sums_;
};

extern template class Trainer<float>;
extern template class Trainer<double>;

}  // namespace lockstep
