#include "options.hpp"

#include "checkpoints.hpp"
#include "output_folder.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/nn/model_parser.hpp>

#include <algorithm>

namespace lockstep::launch {
namespace {

TextForm<std::string> model_text() {
    return {"LAYERS", [](const std::string& text) { return canonical_model(text); }, std::identity()};
}

TextForm<std::optional<double>> momentum_text() {
    return {"X|cumulative", parse_running_momentum, running_momentum_to_string};
}

/// Nothing stands for what the data decide.
TextForm<std::optional<InputKind>> input_text() {
    return {"NAME", parse_input_kind,
            [](const std::optional<InputKind>& kind) { return kind ? to_string(*kind) : ""; }};
}

/// Names of arrays that mean the same in every working directory.
TextForm<std::string> arrays_text() {
    const auto read = [](const std::string& text) {
        std::string whole;
        for (const std::string& name : array_names(text)) {
            // A second array of the same HDF5 file is named by its path in there alone.
            const std::size_t inside = name.find(":/");
            const std::string file = absolute_path().read(name.substr(0, inside)).string();
            const std::string rest = inside == std::string::npos ? "" : name.substr(inside);
            const bool same = !rest.empty() && whole.starts_with(file + ":/");
            whole += same ? rest : (whole.empty() ? "" : ":") + file + rest;
        }
        return whole;
    };
    return {"X[:Y]", read, std::identity()};
}

TextForm<ResumeMode> resume_text() {
    return one_of<ResumeMode>(
        {{"no", ResumeMode::no}, {"yes", ResumeMode::yes}, {"auto", ResumeMode::automatic}});
}

TextForm<bool> verify_text() {
    return one_of<bool>({{"sample", false}, {"full", true}});
}

TextForm<Loss> loss_text() {
    return {"LOSS", [](const std::string& text) { return parse_loss(text); },
            [](const Loss& loss) { return loss ? loss->text() : ""; }};
}

void add_data_options(OptionTable& table, DatasetOptions& data, std::optional<InputKind>& input,
                      bool& verify_all_data) {
    table.group(data_group);
    table.add("dataset", data.name, "digits (built in), mnist, cifar10 or cifar100");
    table.add("data-dir", data.directory, absolute_path(), "folder of the data set's files",
              OptionRole::place);
    table.add("train-samples", data.train_samples, "use only the first N training samples");
    table.add("test-samples", data.test_samples, "use only the first N test samples");
    table.add("classes", data.classes,
              "how many classes (default: as many as the labels of the data set say)");
    table.add("input", input, input_text(),
              "raw (as they are), unit (bytes 0…255 as 0…1), or standardized (training-set mean and "
              "deviation); default: "
              "unit for bytes, raw for other values");
    table.add("data", data.data, arrays_text(),
              "arrays of your own instead of a data set: inputs and targets, as x.npy:y.npy or file.h5:/x:/y",
              OptionRole::place);
    table.add("test-data", data.test_data, arrays_text(), "the same for testing", OptionRole::place);
    table.add("test-split", data.test_split, "set aside this share of the data for testing, by the seed");
    table
        .add("verify-data", verify_all_data, verify_text(),
             "how much of the inputs ranks and resumed runs compare by hash: sample (all up to 1 GB, a fixed "
             "part of more) "
             "or full")
        .kept_at_default = false;
    table.add("channels-first", data.channels_first, "images of the arrays are N×c×h×w, not N×h×w×c")
        .kept_at_default = false;
}

void add_batch_norm_options(OptionTable& table, TrainerOptions& trainer) {
    const char* const group = "Batch normalization";
    table.group(group);
    table.add(
        "bn", trainer.batch_norm, library_text(BatchNormMode::parse),
        "whose values make the statistics: sync (all replicas), local (each replica's own), or group:K");
    table.add("bn-momentum", trainer.running_momentum, momentum_text(),
              "weight of the newest batch in the running averages, or cumulative");
    table.group(network_group);
    table.add("bn-epsilon", trainer.epsilon, "added to the variance");
    table.group(group);
    table.add("precise-bn", trainer.precise_batches,
              "recompute exact population statistics from so many batches before evaluating; 0 = off");
}

void add_training_options(OptionTable& table, TrainerOptions& trainer) {
    OptimizerOptions& optimizer = trainer.optimizer;
    ScheduleOptions& schedule = trainer.schedule;
    table.group("Training");
    table.add("replicas", trainer.replicas,
              "logical workers, at least one for each rank (default: the number of ranks)");
    table.add("batch-size", trainer.batch_size, "samples per replica and step");
    table.add("loss", trainer.loss, loss_text(),
              "cross-entropy (for classes), mse, mae, 'huber DELTA', or bce (for labels that are on or off); "
              "default: "
              "cross-entropy for classes, mse for values");
    table.add("epochs", schedule.epochs, "passes over the training samples");
    table.add("optimizer", optimizer.kind, library_text(parse_optimizer_kind), "sgd or adamw");
    table.add("learning-rate", schedule.learning_rate, "full learning rate");
    table.add("momentum", optimizer.momentum, "of sgd");
    table.add("nesterov", optimizer.nesterov, "Nesterov's momentum, of sgd");
    table.add("clip-norm", trainer.clip_norm, "largest norm of the gradients, which are scaled down to it");
    table.add("weight-decay", optimizer.weight_decay, "as torch.optim applies it");
    table.add("decay", optimizer.decay, library_text(parse_weight_decay_scope),
              "what decays: all parameters, or only weights (of linear and convolution layers)");
    table.add("schedule", schedule.kind, library_text(parse_schedule_kind), "constant, cosine or step");
    table.add("warmup-epochs", schedule.warmup_epochs, "epochs of linear warm-up");
    table.add("augment-crop", trainer.augmentation.crop_padding,
              "random crops after padding by so many pixels");
    table.add("augment-flip", trainer.augmentation.horizontal_flip, "random horizontal flips");
    table.add("seed", trainer.seed, whole_number<std::uint64_t>(0), "of everything that is random");
    table.add("shuffle", trainer.shuffle, "a new order each epoch");
}

void add_weights_options(OptionTable& table, RunOptions& run) {
    table
        .add("label-smoothing", run.label_smoothing,
             "of cross-entropy: share of the target spread over all classes")
        .kept_at_default = false;
    table.add("init-from", run.init_from, absolute_path(), "start from the weights in a .safetensors file",
              OptionRole::place);
    table.add("init-partial", run.init_partial, "take what fits of them and say what does not")
        .kept_at_default = false;
}

void add_run_options(OptionTable& table, RunOptions& run) {
    table.group("Run");
    table.add("config", run.config, path_as_given(),
              "read options from a file; the command line overrides it", OptionRole::call);
    table.add("output", run.output, path_as_given(), "run folder (default: a new one in runs/)",
              OptionRole::call);
    table.add("checkpoint-every", run.checkpoint_every, checkpoint_interval_text(),
              "how often, in epochs, or as 500steps, 10min, 2h", OptionRole::course);
    table
        .add("keep-checkpoints", run.keep_checkpoints, whole_number<Index>(1),
             "how many: the newest, and those before it, for the case that it gets damaged",
             OptionRole::course)
        .kept_at_default = false;
    table.add_switch("resume", run.resume_mode, resume_text(), "yes",
                     "continue what the output folder holds, on any number of ranks; without a checkpoint, "
                     "from the beginning; auto: begin if it holds nothing yet");
    table.add("reduction", run.trainer.reduction,
              one_of<Reduction>({{"reproducible", Reduction::reproducible}, {"fast", Reduction::fast}}),
              "how gradients are summed: reproducible (the same bits at any number of ranks) or fast "
              "(MPI_Allreduce)");
    table.add("timeout", run.timeout_seconds, "seconds that an exchange may wait for other ranks",
              OptionRole::course);
    table.add_switch("help", run.help, "print this");
}

/// A loss may say its label smoothing itself ("cross-entropy smoothing 0.1"); if both are given, they agree.
void smooth_labels(RunOptions& run, const OptionTable& table) {
    if (!table.given("label-smoothing")) return;
    const Loss smoothed = cross_entropy(run.label_smoothing);
    const std::string loss = run.trainer.loss ? run.trainer.loss->text() : "";
    const bool other = !loss.empty() && !loss.starts_with("cross-entropy");
    if (other && run.label_smoothing == 0) return;
    if (other) throw UsageError("label-smoothing: it is for cross-entropy, not for loss " + loss);
    if (!loss.empty() && loss != "cross-entropy" && loss != smoothed->text())
        throw UsageError("label-smoothing: it is " + shortest_text(run.label_smoothing) +
                         ", but the loss is '" + loss + "'; give one of the two");
    if (run.label_smoothing != 0) run.trainer.loss = smoothed;
}

/// What follows from several options.
void complete(RunOptions& run, const OptionTable& table) {
    run.epsilon_given = table.given("bn-epsilon");
    smooth_labels(run, table);
    DatasetOptions& data = run.data;
    if (!data.data.empty() && table.given("dataset"))
        throw UsageError("data: there is the dataset " + data.name + ", too; give one of the two");
    if (!data.data.empty() || !data.test_data.empty()) data.name.clear();
    // Whole numbers may be classes or values: the loss knows.
    if (run.trainer.loss)
        data.targets =
            run.trainer.loss->text().starts_with("cross-entropy") ? TargetKind::classes : TargetKind::values;
    data.split_seed = run.trainer.seed;
}

/// What no option can know by itself.
void check(const RunOptions& run) {
    if (run.init_partial && run.init_from.empty())
        throw UsageError("init-partial: there is nothing to take; name the weights with --init-from");
    const DatasetOptions& data = run.data;
    if (data.test_split && data.data.empty())
        throw UsageError("test-split: it is for arrays of your own, which --data names");
    if (data.test_split && !(*data.test_split > 0 && *data.test_split < 1))
        throw UsageError("test-split: it is a share of the data, between 0 and 1, not " +
                         shortest_text(*data.test_split));
    if (data.test_split && !data.test_data.empty())
        throw UsageError("test-split: there are test-data, too; give one of the two");
}

bool has_results(const std::filesystem::path& folder) {
    for (const char* result : {"metrics.jsonl", "combinations"})
        if (is_there(folder / result)) return true;
    return !checkpoints_in(folder).empty();
}

/// The configuration of a run or a study to resume. If it is missing and there are results the command line
/// gives the settings, and the results say whether they are the right ones.
void read_run_file(const std::filesystem::path& folder, OptionTable& table) {
    const bool for_runs = std::ranges::find(table.options(), "modes", &Option::name) == table.options().end();
    if (for_runs && is_there(folder / "combinations"))
        throw UsageError(folder.string() + ": " + holds_a_study);
    if (is_there(folder / "config.cfg")) return table.read_file(folder / "config.cfg");
    if (!has_results(folder)) throw UsageError(folder.string() + ": " + no_run_to_resume);
}

bool resumes(const RunOptions& run) {
    if (run.resume_mode != ResumeMode::automatic) return run.resume_mode == ResumeMode::yes;
    return is_there(run.output / "config.cfg") || has_results(run.output);
}

}  // namespace

void add_options(OptionTable& table, RunOptions& run) {
    table.group(network_group);
    table.add("model", run.trainer.model, model_text(), "layers in order");
    add_data_options(table, run.data, run.trainer.input, run.trainer.verify_all_data);
    add_batch_norm_options(table, run.trainer);
    add_training_options(table, run.trainer);
    add_weights_options(table, run);
    add_run_options(table, run);
}

void read_arguments(const std::vector<std::string>& arguments, OptionTable& table, RunOptions& run) {
    table.read_words(arguments);
    if (run.resume_mode != ResumeMode::no && !table.given("output"))
        throw UsageError("resume: which run? give its folder with --output");
    run.resume = resumes(run);
    if (table.given("config")) table.read_file(run.config);
    // What nobody says now is what the folder says that it was.
    if (run.resume) read_run_file(run.output, table);
    try {
        complete(run, table);
        check(run);
    } catch (const UsageError& error) {
        if (!run.resume) throw;
        throw UsageError(std::string(error.what()) + " (what is not given now is as in " +
                         (run.output / "config.cfg").string() + ")");
    }
}

bool has_labels(const RunOptions& run) {
    return run.trainer.loss && run.trainer.loss->labels();
}

std::string data_title(const DatasetOptions& data) {
    return data.name.empty() ? "own-data" : data.name;
}

std::string configuration_text(const Settings& settings) {
    std::string text;
    for (const auto& [name, value] : settings) text += name + " = " + value + "\n";
    return text;
}

}  // namespace lockstep::launch
