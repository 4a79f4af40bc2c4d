/// `lockstep train`: from options to a run folder.
#include "command.hpp"
#include "console.hpp"
#include "initial_weights.hpp"
#include "options.hpp"

#include <lockstep/base/atomic_file.hpp>
#include <lockstep/base/error.hpp>
#include <lockstep/base/hash.hpp>
#include <lockstep/comm/agreement.hpp>
#include <lockstep/train/checkpoint.hpp>
#include <lockstep/train/evaluator.hpp>
#include <lockstep/train/metrics.hpp>
#include <lockstep/train/model_file.hpp>
#include <lockstep/train/weights.hpp>

#include <mpi.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <optional>
#include <system_error>

namespace lockstep::launch {
namespace {

namespace fs = std::filesystem;

/// runs/mnist-sync, or the first of runs/mnist-sync-2, -3, … that does not exist.
fs::path fresh_folder(const RunOptions& options) {
    std::string name = options.data.name + "-" + options.trainer.batch_norm.to_string();
    std::replace(name.begin(), name.end(), ':', '-');
    fs::path folder = fs::path("runs") / name;
    for (int number = 2; fs::exists(folder); ++number)
        folder = fs::path("runs") / (name + "-" + std::to_string(number));
    return folder;
}

/// The files of a run, in the hands of rank 0.
class RunFolder {
  public:
    RunFolder(const RunOptions& options)
        : path_(options.output.empty() ? fresh_folder(options) : options.output) {
        std::error_code error;
        if (!options.resume &&
            (fs::exists(checkpoint(), error) || fs::exists(path_ / "metrics.jsonl", error)))
            throw UsageError(path_.string() +
                             ": holds a run already: continue it with --resume, or name another folder");
        fs::create_directories(path_, error);
        if (error) throw FileError(path_.string() + ": the output folder cannot be made: " + error.message());
        AtomicFile config(path_ / "config.cfg");
        for (const auto& [name, value] : resolved_settings(options))
            config.write(name + " = " + value + "\n");
        config.commit();
    }

    const fs::path& path() const { return path_; }
    fs::path checkpoint() const { return path_ / "checkpoint.safetensors"; }
    fs::path model() const { return path_ / "model.safetensors"; }

    MetricsWriter open_metrics(Index complete_epochs) const {
        const fs::path file = path_ / "metrics.jsonl";
        return complete_epochs > 0 ? MetricsWriter::resume(file, complete_epochs)
                                   : MetricsWriter::start(file);
    }

  private:
    fs::path path_;
};

/// One run, from its first epoch, or the one at which it is resumed, to its last.
class Run {
  public:
    Run(const RunOptions& options, const DatasetPair& data, const Communicator& communicator)
        : options_(options),
          data_(data),
          communicator_(communicator),
          console_(communicator.rank() == 0),
          trainer_(options.trainer, data.train, communicator) {
        if (!options_.init_from.empty())
            notes_ = load_initial_weights(options_, trainer_.transform(), trainer_.network());
        if (options_.resume) load_checkpoint(trainer_, options_.output / "checkpoint.safetensors");
        check_agreement(communicator_, "where to begin",
                        {{"weights", to_hex16(fingerprint(trainer_.network()))},
                         {"epoch", std::to_string(trainer_.epoch())}});
        if (communicator_.rank() == 0) {
            folder_.emplace(options_);
            metrics_.emplace(folder_->open_metrics(trainer_.epoch()));
        }
    }

    void train() {
        introduce();
        const Index epochs = options_.trainer.schedule.epochs;
        while (trainer_.epoch() < epochs) {
            train_epoch(epochs);
            if (trainer_.epoch() % options_.checkpoint_every == 0 || trainer_.epoch() == epochs) save();
        }
        if (folder_) save_model(trainer_.network(), signature_of(trainer_), folder_->model());
        // Also so that no rank has left where rank 0 fails to write.
        const std::string result = to_hex16(fingerprint(trainer_.network()));
        check_agreement(communicator_, "the result", {{"fingerprint", result}});
        if (folder_) console_.line("\nresults: " + folder_->path().string());
        console_.line("fingerprint: " + result);
    }

  private:
    void introduce() {
        const ReplicaMap& map = trainer_.replica_map();
        Settings settings = resolved_settings(options_);
        if (folder_) settings.emplace_back("output", folder_->path().string());
        console_.settings(settings);
        // No replica gets more than all samples, however many are asked for.
        const Index global_batch = std::min(
            data_.train.size(), map.replicas() * std::min(options_.trainer.batch_size, data_.train.size()));
        console_.line("\n  " + std::to_string(communicator_.size()) + " ranks, " +
                      std::to_string(map.replicas()) + " replicas, global batch " +
                      std::to_string(global_batch) + "; " + std::to_string(data_.train.size()) +
                      " training and " + std::to_string(data_.test.size()) + " test samples");
        for (const std::string& note : notes_) console_.line("  " + note);
        if (trainer_.epoch() > 0) console_.line("  resumed after epoch " + std::to_string(trainer_.epoch()));
        console_.epochs_begin();
    }

    void train_epoch(Index epochs) {
        const Index number = trainer_.epoch() + 1;
        const double waited_before = communicator_.seconds_waited();
        const EpochResult result = trainer_.run_epoch([&](const StepResult& step) {
            if (metrics_) metrics_->write(StepMetrics{number, step.step, step.loss});
            console_.progress(number, epochs, step.step, trainer_.steps_per_epoch(), step.loss);
        });
        const double waited = communicator_.seconds_waited() - waited_before;
        trainer_.recompute_running_averages();
        const Evaluation test = evaluate(trainer_.network(), data_.test, trainer_.transform(), communicator_);
        if (!std::isfinite(test.loss))
            throw NumericalError("the test loss is no longer finite after epoch " + std::to_string(number) +
                                 ": lower the learning rate, or warm it up");
        const EpochMetrics metrics{
            .epoch = number,
            .train_loss = result.loss,
            .train_accuracy = result.accuracy,
            .test_loss = test.loss,
            .test_accuracy = test.accuracy,
            .seconds = result.seconds,
            .samples_per_second = static_cast<double>(data_.train.size()) / result.seconds,
            .communication_seconds = waited};
        if (metrics_) metrics_->write(metrics);
        console_.epoch(metrics, epochs);
    }

    void save() {
        if (folder_) save_checkpoint(trainer_, folder_->checkpoint());
    }

    const RunOptions& options_;
    const DatasetPair& data_;
    Communicator communicator_;
    Console console_;
    Trainer<float> trainer_;
    std::vector<std::string> notes_;  // what there is to say about the initial weights
    std::optional<RunFolder> folder_;
    std::optional<MetricsWriter> metrics_;
};

}  // namespace

void train_command(const std::vector<std::string>& arguments) {
    const auto known = training_options();
    const auto values = parse_arguments(arguments, known);
    if (values["help"].as<bool>()) {
        int rank = 0;
        MPI_Comm_rank(MPI_COMM_WORLD, &rank);
        if (rank == 0) std::cout << "mpirun -n RANKS lockstep train [options]\n" << known << std::flush;
        return;
    }
    RunOptions options = to_run_options(values);
    const Communicator communicator(MPI_COMM_WORLD, {.timeout_seconds = options.timeout_seconds});
    if (!options.trainer.replicas) options.trainer.replicas = communicator.size();
    const DatasetPair data = load_dataset(options.data);
    auto common = resolved_settings(options);
    common.emplace_back("test data", to_hex16(data.test.hash()));
    check_agreement(communicator, "the run", common);
    Run(options, data, communicator).train();
}

}  // namespace lockstep::launch
