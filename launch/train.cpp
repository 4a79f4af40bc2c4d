/// `lockstep train`: from options to a run folder.
#include "checkpoints.hpp"
#include "command.hpp"
#include "console.hpp"
#include "initial_weights.hpp"
#include "options.hpp"
#include "rank_facts.hpp"
#include "run_folder.hpp"
#include "stop_signals.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/base/hash.hpp>
#include <lockstep/comm/agreement.hpp>
#include <lockstep/comm/failure_guard.hpp>
#include <lockstep/comm/nodes.hpp>
#include <lockstep/simd/instruction_set.hpp>
#include <lockstep/train/checkpoint.hpp>
#include <lockstep/train/evaluator.hpp>
#include <lockstep/train/metrics.hpp>
#include <lockstep/train/model_file.hpp>
#include <lockstep/train/weights.hpp>

#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <optional>
#include <utility>

namespace lockstep::launch {
namespace {

/// What a run depends on beside what the trainer knows of.
Settings settings_beside(const RunOptions& options, const std::string& test_data) {
    return {{"test data", test_data},
            {"initial weights", options.init_from.empty() ? "random" : options.init_from.string()}};
}

/// One run, from its first epoch, or the one at which it is resumed, to its last.
class Run {
  public:
    Run(const RunOptions& options, const DatasetPair& data, const std::string& test_data,
        const Communicator& communicator)
        : options_(options),
          data_(data),
          communicator_(communicator),
          console_(communicator.rank() == 0),
          beside_(settings_beside(options, test_data)),
          folder_(open_folder()),
          from_checkpoint_(options.resume && has_checkpoint()),
          checkpoint_(find_checkpoint()),
          trainer_(options.trainer, *data.train, communicator) {
        if (from_checkpoint_)
            load(checkpoint_);
        else if (!options_.init_from.empty())
            load_weights_to_start_from();
        if (trainer_.epoch() > epochs())
            throw UsageError("epochs: " + std::to_string(epochs()) + " are asked for, but the run in " +
                             options_.output.string() + " has completed " + std::to_string(trainer_.epoch()) +
                             ": ask for as many at least");
        check_agreement(communicator_, "where to begin",
                        {{"weights", to_hex16(fingerprint(trainer_.network()))},
                         {"epoch", std::to_string(trainer_.epoch())}});
        if (folder_) begin_folder();
        saved_steps_ = from_checkpoint_ ? steps_done() : -1;
    }

    /// Whether it has come to its end, or was stopped by a signal.
    bool train() {
        introduce();
        if (trainer_.epoch() < epochs()) console_.epochs_begin(trainer_.task(), data_.test != nullptr);
        while (trainer_.epoch() < epochs()) {
            train_epoch();
            if (trainer_.epoch() == epochs() || checkpoint_is_due()) save();
            if (stop_signal_ != 0 && trainer_.epoch() < epochs()) {
                stop();
                return false;
            }
        }
        if (folder_ && !model_is_complete())
            save_model(trainer_.network(), signature_of(trainer_), folder_->model());
        // Also so that no rank has left where rank 0 fails to write.
        const std::string result = to_hex16(fingerprint(trainer_.network()));
        check_agreement(communicator_, "the result", {{"fingerprint", result}});
        if (folder_) console_.line("\nresults: " + folder_->path().string());
        console_.line("fingerprint: " + result);
        return true;
    }

  private:
    Index epochs() const { return options_.trainer.schedule.epochs; }

    /// Of the whole run.
    Index steps_done() const {
        const TrainingPosition position = trainer_.position();
        return position.epoch * trainer_.steps_per_epoch() + position.step;
    }

    /// "epoch 3", or within the next one "epoch 3, step 17 of 20".
    std::string position_text() const {
        const TrainingPosition position = trainer_.position();
        std::string text = "epoch " + std::to_string(position.epoch);
        if (position.step == 0) return text;
        return text + ", step " + std::to_string(position.step) + " of " +
               std::to_string(trainer_.steps_per_epoch());
    }

    /// What rank 0 has found for all: ranks that look at a file by themselves may not see the same.
    std::string shared(const std::string& text, const std::string& what) const {
        return communicator_.all_gather(text, what).front();
    }

    bool has_checkpoint() const {
        const bool found = folder_ && resumes_from_checkpoint(options_.output);
        return shared(found ? "yes" : "no", "whether there is a checkpoint") == "yes";
    }

    /// Empty if there is none.
    std::filesystem::path find_checkpoint() {
        if (!from_checkpoint_) return {};
        CheckpointChoice choice;
        if (folder_) choice = choose_checkpoint(options_.output);
        if (!choice.note.empty()) notes_.push_back(choice.note);
        keep_instruction_set(shared(choice.instruction_set, "sharing what the checkpoint was computed with"));
        return options_.output / shared(choice.path.filename().string(), "sharing which checkpoint is sound");
    }

    /// Goes on with what the checkpoint was computed with, if that is no wider than what is used here, for the same
    /// bits.
    void keep_instruction_set(const std::string& name) {
        const InstructionSet before = product_instruction_set();
        if (forced_instruction_set()) return;
        for (const InstructionSet set : available_instruction_sets())
            if (to_string(set) == name) limit_product_instruction_set(set);
        if (product_instruction_set() != before)
            notes_.push_back("matrix products use " + name + ", not " + std::string(to_string(before)) +
                             ": the checkpoint was computed so, and the bits depend on it");
    }

    void load(const std::filesystem::path& checkpoint) {
        const CheckpointOrigin origin = load_checkpoint(trainer_, checkpoint, beside_);
        const std::string here(to_string(product_instruction_set()));
        if (origin.instruction_set.empty() || origin.instruction_set == here) return;
        // Processors may have one that others are faster than.
        const bool at_hand = std::ranges::any_of(available_instruction_sets(), [&](InstructionSet set) {
            return to_string(set) == origin.instruction_set;
        });
        notes_.push_back(
            "the checkpoint was computed with " + origin.instruction_set + ", and this goes on with " + here +
            ": the bits will not be those of a run that was not interrupted" +
            (at_hand ? "; with LOCKSTEP_INSTRUCTION_SET=" + origin.instruction_set + " they are" : ""));
    }

    void begin_folder() {
        for (std::string& note : folder_->begin(checkpoint_, trainer_.position()))
            notes_.push_back(std::move(note));
    }

    std::optional<RunFolder> open_folder() const {
        if (communicator_.rank() != 0) return std::nullopt;
        return std::optional<RunFolder>(std::in_place, options_);
    }

    void load_weights_to_start_from() {
        try {
            notes_ = load_initial_weights(options_, trainer_.transform(), trainer_.network());
        } catch (const FileError& error) {
            if (!options_.resume) throw;
            throw FileError(std::string(error.what()) +
                            "; the run has no checkpoint yet, so it needs the weights of --init-from again");
        }
    }

    /// Whether model.safetensors is there already, with these weights: a complete run is not written again.
    bool model_is_complete() const {
        try {
            return fingerprint(*load_model<float>(folder_->model()).network) ==
                   fingerprint(trainer_.network());
        } catch (const FileError&) {
            return false;
        }
    }

    void introduce() {
        const ReplicaMap& map = trainer_.replica_map();
        Settings settings = resolved_settings(options_);
        if (folder_) settings.emplace_back("output", folder_->path().string());
        console_.settings(settings);
        // No replica gets more than all samples, however many are asked for.
        const Index global_batch = std::min(
            data_.train->size(), map.replicas() * std::min(options_.trainer.batch_size, data_.train->size()));
        console_.line("\n  " + std::to_string(communicator_.size()) + " ranks, " +
                      std::to_string(map.replicas()) + " replicas, global batch " +
                      std::to_string(global_batch) + "; " + std::to_string(data_.train->size()) +
                      " training " +
                      (data_.test ? "and " + std::to_string(data_.test->size()) + " test " : "") + "samples");
        console_.line("  " + hosts_and_ranks(communicator_) + "; gradients " + way_of_gradients());
        for (const std::string& note : notes_) console_.line("  " + note);
        if (from_checkpoint_ && trainer_.epoch() == epochs())
            console_.line("  complete after epoch " + std::to_string(trainer_.epoch()) +
                          ": nothing is left to do");
        else if (from_checkpoint_)
            console_.line("  resumed after " + position_text());
        else if (options_.resume)
            console_.line("  there is no checkpoint yet: begins from the beginning");
    }

    std::string way_of_gradients() const {
        if (communicator_.size() == 1) return "stay in this rank";
        return "are added " + trainer_.gradient_path();
    }

    void train_epoch() {
        const Index number = trainer_.epoch() + 1;
        const double waited_before = communicator_.seconds_waited();
        const EpochResult result =
            trainer_.run_epoch([&](const StepResult& step) { after_step(number, step); });
        if (!result.complete) return;
        const double waited = communicator_.seconds_waited() - waited_before;
        trainer_.recompute_running_averages();
        EpochMetrics metrics{.task = trainer_.task(),
                             .epoch = number,
                             .train_loss = result.loss,
                             .train_score = result.score,
                             .seconds = result.seconds,
                             .samples_per_second = static_cast<double>(result.samples) / result.seconds,
                             .communication_seconds = waited};
        if (data_.test) test(metrics);
        if (folder_) folder_->metrics().write(metrics);
        console_.epoch(metrics, epochs());
    }

    void test(EpochMetrics& metrics) const {
        const Evaluation result =
            evaluate(trainer_.network(), *data_.test, trainer_.transform(), trainer_.loss(), communicator_);
        if (!std::isfinite(result.loss))
            throw NumericalError("the test loss is no longer finite after epoch " +
                                 std::to_string(metrics.epoch) + ": lower the learning rate, or warm it up");
        metrics.test_loss = result.loss;
        metrics.test_score = result.score;
        metrics.test_top5 = result.top5;
        metrics.test_mae = result.all.mae;
        metrics.test_r2 = result.all.r2;
    }

    void after_step(Index epoch, const StepResult& step) {
        if (folder_) folder_->metrics().write(StepMetrics{epoch, step.step, step.loss});
        console_.progress(epoch, epochs(), step.step, trainer_.steps_per_epoch(), step.loss);
        // Ranks get a signal at different steps, or one of them alone: the next step tells all.
        if (noted_stop_signal() != 0) trainer_.request(noted_stop_signal());
        stop_signal_ = std::max(stop_signal_, step.request);
        if (stop_signal_ != 0) return trainer_.stop_epoch();
        // What an epoch ends with belongs to its last step.
        if (step.step + 1 < trainer_.steps_per_epoch() && checkpoint_is_due()) save();
    }

    /// On rank 0, which writes it.
    bool checkpoint_is_due() const {
        return folder_ && is_due(options_.checkpoint_every,
                                 {.epoch = trainer_.epoch(),
                                  .step = steps_done(),
                                  .epoch_ended = !trainer_.in_epoch(),
                                  .since_last = std::chrono::steady_clock::now() - saved_at_});
    }

    void save() {
        if (!folder_ || steps_done() == saved_steps_) return;
        folder_->add_checkpoint(
            [&](const std::filesystem::path& path) { save_checkpoint(trainer_, path, beside_); });
        saved_steps_ = steps_done();
        saved_at_ = std::chrono::steady_clock::now();
    }

    void stop() {
        save();
        // Also so that no rank has left where rank 0 fails to write.
        check_agreement(communicator_, "where to stop", {{"step", std::to_string(steps_done())}});
        if (folder_)
            console_.line("\nstopped by " + signal_name(stop_signal_) + " after " + position_text() +
                          ": go on with lockstep train --resume --output " +
                          shell_word(folder_->path().string()));
    }

    const RunOptions& options_;
    const DatasetPair& data_;
    Communicator communicator_;
    Console console_;
    Settings beside_;
    std::optional<RunFolder> folder_;  // on rank 0; before what looks at it: nobody else writes meanwhile
    bool from_checkpoint_;
    std::vector<std::string> notes_;    // what there is to say about the initial weights, or the checkpoint
    std::filesystem::path checkpoint_;  // that the run goes on from
    Trainer<float> trainer_;
    Index saved_steps_ = -1;  // of the last checkpoint
    std::chrono::steady_clock::time_point saved_at_ = std::chrono::steady_clock::now();
    int stop_signal_ = 0;  // that all ranks have agreed on
};

bool run(const RunOptions& options, const Communicator& communicator) {
    const DatasetPair data = load_dataset(options.data);
    if (!data.train) throw UsageError("data: which? name the arrays to train on with --data");
    auto common = common_settings(options);
    common.emplace_back("resume", options.resume ? "yes" : "no");
    common.emplace_back("test data", data.test ? outline(*data.test) : "none");
    check_agreement(communicator, "the run", common);
    const std::string test_data =
        data.test ? survey(*data.test, communicator, {.labels = has_labels(options)}).description : "none";
    note_stop_signals();
    return Run(options, data, test_data, communicator).train();
}

}  // namespace

void train_command(const std::vector<std::string>& arguments) {
    RunOptions options;
    OptionTable table = table_of(options);
    read_arguments(arguments, table, options);
    if (options.help) return print_once("mpirun -n RANKS lockstep train [options]\n" + table.help());
    const Communicator communicator =
        by_node(Communicator(MPI_COMM_WORLD, {.timeout_seconds = options.timeout_seconds}));
    if (!options.trainer.replicas) options.trainer.replicas = communicator.size();
    // What goes wrong on one rank alone, as with the folder, which only rank 0 looks at, ends the others at once.
    const bool complete = or_announce(communicator, [&] { return run(options, communicator); });
    if (!complete) throw StoppedEarly();
}

}  // namespace lockstep::launch
