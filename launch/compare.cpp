/// `lockstep compare`: what synchronizing batch norm is worth, and what it costs, by samples per replica.
#include "command.hpp"
#include "console.hpp"
#include "initial_weights.hpp"
#include "study_folder.hpp"
#include "study_options.hpp"
#include "study_prediction.hpp"
#include "study_progress.hpp"
#include "study_runner.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/base/hash.hpp>
#include <lockstep/comm/agreement.hpp>
#include <lockstep/comm/failure_guard.hpp>
#include <lockstep/comm/nodes.hpp>
#include <lockstep/report/summary.hpp>
#include <lockstep/report/table.hpp>

#include <mpi.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <optional>
#include <thread>
#include <utility>

namespace lockstep::launch {
namespace {

std::string machine_name() {
    std::ifstream file("/proc/cpuinfo");
    const std::string key = "model name";
    for (std::string line; std::getline(file, line);)
        if (line.starts_with(key) && line.find(": ") != std::string::npos)
            return line.substr(line.find(": ") + 2) + ", " +
                   std::to_string(std::thread::hardware_concurrency()) + " hardware threads";
    return "a machine of " + std::to_string(std::thread::hardware_concurrency()) + " hardware threads";
}

/// "layer 3 (300 channels)"
std::vector<std::string> layer_names(const StudyOptions& options, const DatasetPair& data) {
    const Network<float> network(parse_model(options.run.trainer.model), data.train->input_shape(),
                                 {.communicator = Communicator::self(),
                                  .placement = {},
                                  .epsilon = options.run.trainer.epsilon,
                                  .momentum = options.run.trainer.running_momentum});
    std::vector<std::string> names;
    for (const BatchNorm<float>* layer : network.batch_norms())
        names.push_back("layer " + layer->prefix().substr(0, layer->prefix().size() - 1) + " (" +
                        std::to_string(layer->norm().channels()) + " channels)");
    return names;
}

/// What has been found of the data.
struct DataSurveys {
    DataSurvey train, test;
};

/// All that the bits of a combination, and what is measured of it, depend on.
Settings settings_of(const StudyOptions& options, const CombinationPlan& plan, const DatasetPair& data,
                     const DataSurveys& found) {
    const RunOptions run = run_options_of(options, plan);
    Settings all = lockstep::settings_of(resolved(run.trainer, *data.train), found.train.description,
                                         plan.replicas, sizeof(float));
    // Every epoch of a combination is in its record, also if the learning rate does not ask for their number.
    if (run.trainer.schedule.kind == ScheduleKind::constant)
        all.emplace_back("epochs", std::to_string(run.trainer.schedule.epochs));
    all.emplace_back("test data", found.test.description);
    all.emplace_back("initial weights", run.init_from.empty() ? "random" : run.init_from.string());
    return all;
}

/// All combinations of a study, those that are finished already aside.
class StudyRun {
  public:
    StudyRun(const StudyOptions& options, const DatasetPair& data, DataSurveys found,
             const Communicator& communicator)
        : options_(options),
          data_(data),
          communicator_(communicator),
          console_(communicator.rank() == 0),
          plans_(all_combinations(options)),
          task_(task_of(data.train->target(), *resolved(options.run.trainer, *data.train).loss)),
          records_(plans_.size()),
          finished_(plans_.size(), false),
          found_(std::move(found)) {
        if (communicator_.rank() == 0) folder_.emplace(options_);
        load_finished();
        if (folder_) folder_->begin();
        split_communicator();
    }

    void run() {
        introduce();
        StudyProgress progress(communicator_.rank() == 0, to_compute());
        for (const std::size_t index : order()) {
            if (finished_[index]) continue;
            run_one(index, progress);
            finished_[index] = true;
        }
        report();
    }

  private:
    /// What rank 0 finds in the folder, made known to all.
    void load_finished() {
        std::string found(plans_.size(), '0');
        for (std::size_t i = 0; folder_ && options_.run.resume && i < plans_.size(); ++i) {
            auto record = folder_->load(plans_[i], settings_of(options_, plans_[i], data_, found_));
            if (!record) continue;
            records_[i] = std::move(*record);
            found[i] = '1';
        }
        found = communicator_.all_gather(found, "sharing what is finished").front();
        for (std::size_t i = 0; i < plans_.size(); ++i) finished_[i] = found[i] == '1';
    }

    /// Fewer replicas than ranks leave some ranks without work: a communicator for each number that works.
    void split_communicator() {
        for (const CombinationPlan& plan : plans_) {
            const int workers = std::min(plan.replicas, communicator_.size());
            if (workers_.contains(workers)) continue;
            const bool works = communicator_.rank() < workers;
            workers_.emplace(workers, communicator_.split(works ? 0 : 1, communicator_.rank()));
        }
    }

    /// Seed by seed, so that a first complete picture is there early; sync first, to measure drift against.
    std::vector<std::size_t> order() const {
        std::vector<std::size_t> indexes(plans_.size());
        for (std::size_t i = 0; i < indexes.size(); ++i) indexes[i] = i;
        const auto position = [&](std::size_t i) {
            const auto seed = std::ranges::find(options_.seeds, plans_[i].seed);
            return std::tuple(seed, plans_[i].batch_size, plans_[i].mode.scope != StatisticsScope::sync, i);
        };
        std::ranges::sort(indexes, [&](std::size_t a, std::size_t b) { return position(a) < position(b); });
        return indexes;
    }

    std::size_t to_compute() const {
        std::size_t count = 0;
        for (std::size_t i = 0; i < plans_.size(); ++i)
            count += !finished_[i] && plans_[i].reason_to_leave_out().empty();
        return count;
    }

    void introduce() const {
        Settings settings = resolved_settings(options_);
        if (folder_) settings.emplace_back("output", folder_->path().string());
        console_.settings(settings);
        const auto done = std::ranges::count(finished_, true);
        console_.line("\n  " + std::to_string(communicator_.size()) + " ranks; " +
                      std::to_string(plans_.size()) + " combinations, " + std::to_string(to_compute()) +
                      " to compute" + (done > 0 ? ", " + std::to_string(done) + " there already" : "") +
                      "\n");
        for (const std::string& note : initial_weights_notes()) console_.line("  " + note);
        if (folder_ && !folder_->lock_fault().empty()) console_.line("  " + folder_->lock_fault());
    }

    /// Once for all combinations, which all start from the same file.
    std::vector<std::string> initial_weights_notes() const {
        const TrainerOptions trainer = resolved(options_.run.trainer, *data_.train);
        if (options_.run.init_from.empty()) return {};
        Network<float> network(
            parse_model(trainer.model), data_.train->input_shape(),
            {.communicator = Communicator::self(), .placement = {}, .epsilon = trainer.epsilon});
        return load_initial_weights(options_.run, input_transform(*trainer.input, *data_.train, found_.train),
                                    network);
    }

    void run_one(std::size_t index, StudyProgress& progress) {
        const CombinationPlan& plan = plans_[index];
        CombinationResult result;
        result.record = empty_record(plan);
        result.record.reason = plan.reason_to_leave_out();
        if (!result.record.reason.empty()) {
            result.record.outcome = Outcome::left_out;
        } else {
            progress.begin(result.record.to_string());
            load_reference(plan);
            const int workers = std::min(plan.replicas, communicator_.size());
            if (communicator_.rank() < workers)
                result = run_combination(options_, plan, data_, found_.train, workers_.at(workers),
                                         reference_ ? &*reference_ : nullptr, [&](double share) {
                                             progress.update(share);
                                             if (communicator_.rank() == 0) communicator_.show_life(workers);
                                         });
            communicator_.wait_for_all("waiting for a combination");
            progress.end(result.record, options_.averages, task_);
        }
        if (folder_) keep(index, std::move(result));
    }

    /// Keeps the parameters of the synchronized run at hand for the other modes of its batch size and seed.
    void load_reference(const CombinationPlan& plan) {
        const std::pair wanted(plan.batch_size, plan.seed);
        if (!folder_ || reference_of_ == wanted) return;
        reference_ = folder_->load_reference(plan);
        reference_of_ = wanted;
    }

    void keep(std::size_t index, CombinationResult result) {
        const CombinationPlan& plan = plans_[index];
        result.record.settings = settings_of(options_, plan, data_, found_);
        // Before the record, which says that all of the combination is there.
        if (!result.parameters.empty() && others_to_come(plan)) {
            folder_->save_reference(plan, result.parameters);
            reference_ = std::move(result.parameters);
        }
        folder_->save(result.record);
        records_[index] = std::move(result.record);
        finished_[index] = true;
        if (!others_to_come(plan)) folder_->remove_reference(plan);
    }

    bool others_to_come(const CombinationPlan& plan) const {
        for (std::size_t i = 0; i < plans_.size(); ++i)
            if (!finished_[i] && plans_[i].batch_size == plan.batch_size && plans_[i].seed == plan.seed &&
                plans_[i].mode.scope != StatisticsScope::sync)
                return true;
        return false;
    }

    void report() {
        Study study;
        study.settings = resolved_settings(options_);
        for (const BatchNormMode& mode : options_.modes) study.modes.push_back(mode.to_string());
        study.batch_sizes = options_.batch_sizes;
        study.seeds = options_.seeds;
        study.global_batch = options_.global_batch;
        study.task = task_;
        study.averages = options_.averages;
        study.layers = layer_names(options_, data_);
        study.machine = machine_name();
        study.ranks = communicator_.size();
        study.combinations = records_;
        console_.line(results_table(study));
        if (!options_.predicted_ranks.empty()) {
            study.prediction = measure_and_predict(options_, data_, communicator_);
            console_.line(prediction_table(study));
        }
        if (!folder_) return;
        for (const std::string& sentence : findings(study)) console_.line("  - " + sentence);
        folder_->write_results(study);
        console_.line("\nreport: " + (folder_->path() / "report.html").string());
    }

    const StudyOptions& options_;
    const DatasetPair& data_;
    Communicator communicator_;
    Console console_;
    std::vector<CombinationPlan> plans_;
    Task task_;
    std::vector<Combination> records_;  // complete on rank 0 alone
    std::vector<bool> finished_;
    DataSurveys found_;
    std::optional<StudyFolder> folder_;
    std::map<int, Communicator> workers_;
    std::optional<ReferenceRun> reference_;
    std::pair<Index, std::uint64_t> reference_of_{0, 0};
};

void run(const StudyOptions& options, const Communicator& communicator) {
    check_prediction(options, communicator);
    const DatasetPair data = load_dataset(options.run.data);
    if (!data.train || !data.test)
        throw UsageError("data: a study trains and tests: give --data with --test-data or --test-split");
    auto common = common_settings(options);
    common.emplace_back("training data", outline(*data.train));
    common.emplace_back("test data", outline(*data.test));
    check_agreement(communicator, "the study", common);
    const bool standardizes = options.run.trainer.input == InputKind::standardized;
    StudyRun(options, data,
             {survey(*data.train, communicator, {.moments = standardizes, .labels = has_labels(options.run)}),
              survey(*data.test, communicator, {.labels = has_labels(options.run)})},
             communicator)
        .run();
}

}  // namespace

void compare_command(const std::vector<std::string>& arguments) {
    StudyOptions options;
    OptionTable table = table_of(options);
    read_arguments(arguments, table, options.run);
    if (options.run.help)
        return print_once(
            "mpirun -n RANKS lockstep compare [options]\n\n"
            "Trains every combination of modes, batch sizes and seeds, and reports what they are worth.\n"
            "Of the options of train, bn, batch-size, replicas and seed give way to the lists below.\n" +
            table.help());
    complete(options);
    const Communicator communicator =
        by_node(Communicator(MPI_COMM_WORLD, {.timeout_seconds = options.run.timeout_seconds}));
    // What goes wrong on one rank alone, as with the folder, which only rank 0 looks at, ends the others at once.
    or_announce(communicator, [&] { run(options, communicator); });
}

}  // namespace lockstep::launch
