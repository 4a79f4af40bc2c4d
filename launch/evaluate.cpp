/// `lockstep evaluate`: what a trained network is worth on the test set.
#include "command.hpp"
#include "console.hpp"
#include "initial_weights.hpp"
#include "options.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/base/hash.hpp>
#include <lockstep/base/settings.hpp>
#include <lockstep/comm/agreement.hpp>
#include <lockstep/comm/failure_guard.hpp>
#include <lockstep/train/data_survey.hpp>
#include <lockstep/train/evaluator.hpp>
#include <lockstep/train/model_file.hpp>

#include <mpi.h>

#include <cmath>

namespace lockstep::launch {
namespace {

struct EvaluateOptions {
    RunOptions run;  ///< all, so that a run's config.cfg can be given as it is; not all are used
    std::filesystem::path weights;
};

constexpr const char* own_group = "Evaluation";

void add_options(OptionTable& table, EvaluateOptions& options) {
    table.group(own_group);
    table.add("weights", options.weights, path_as_given(),
              "the .safetensors file to evaluate; one that Lockstep wrote says which model, input and "
              "data set belong to it",
              OptionRole::call);
    add_options(table, options.run);
}

/// What the user has said against what the file says of itself.
class FileAgainstOptions {
  public:
    FileAgainstOptions(const SafetensorsFile& file, const OptionTable& table)
        : path_(file.path().string()), table_(table) {}

    const std::string& path() const { return path_; }
    /// Whether the option stands on the command line or in the configuration.
    bool given(const std::string& option) const { return table_.given(option); }
    /// Throws if the option was given and is something else than in the file.
    void check(const std::string& option, const std::string& asked, const std::string& in_file) const {
        if (given(option) && asked != in_file)
            throw UsageError("--" + option + " is " + asked + ", but " + path_ + " says that its model has " +
                             in_file + ": leave the option out");
    }

  private:
    std::string path_;
    const OptionTable& table_;
};

/// Lets the file say what its model takes; throws on options that contradict it.
void take_over(const ModelSignature& signature, const FileAgainstOptions& against, RunOptions& options) {
    TrainerOptions& trainer = options.trainer;
    against.check("model", trainer.model, signature.model);
    against.check("input", trainer.input ? to_string(*trainer.input) : "", to_string(signature.input.kind()));
    against.check("bn-epsilon", shortest_text(trainer.epsilon), shortest_text(signature.epsilon));
    against.check("classes", std::to_string(options.data.classes.value_or(0)),
                  std::to_string(signature.target.classes));
    if (trainer.loss) {
        const std::string loss = trainer.loss->text();
        against.check("loss", loss, signature.loss);
        against.check("label-smoothing", loss, signature.loss);
    }
    trainer.model = signature.model;
    trainer.input = signature.input.kind();
    trainer.epsilon = signature.epsilon;
    if (signature.target.classes > 0) options.data.classes = signature.target.classes;
    // A model may be tried on other data than its own, but nobody means the default data set.
    const bool arrays = !options.data.data.empty() || !options.data.test_data.empty();
    if (!against.given("dataset") && !arrays) {
        if (!is_dataset_name(signature.dataset))
            throw UsageError(against.path() + ": its model was trained on " + signature.dataset +
                             ": name the arrays to evaluate it on with --test-data");
        options.data.name = signature.dataset;
    }
    options.data.targets = signature.target.classes > 0 ? TargetKind::classes : TargetKind::values;
}

/// What the options say of weights that say nothing of themselves.
ModelSignature signature_from(const RunOptions& options, const Dataset& train,
                              const Communicator& communicator) {
    const TrainerOptions trainer = resolved(options.trainer, train);
    const DataSurvey found =
        survey(train, communicator, {.moments = *trainer.input == InputKind::standardized});
    return {.model = trainer.model,
            .epsilon = trainer.epsilon,
            .target = train.target(),
            .loss = trainer.loss->text(),
            .dataset = train.name(),
            .input = input_transform(*trainer.input, train, found)};
}

void check_shape(const ModelSignature& signature, const Dataset& data, const std::filesystem::path& path) {
    if (signature.input.shape() != data.input_shape())
        throw UsageError(path.string() + ": its model takes " + signature.input.shape().to_string() +
                         ", but the samples of data set " + data.name() + " are " +
                         data.input_shape().to_string());
}

Settings settings_of(const ModelSignature& signature, const std::string& data,
                     const std::filesystem::path& path) {
    return {{"weights", path.string()},
            {"model", signature.model},
            {"input", to_string(signature.input.kind())},
            {"bn-epsilon", shortest_text(signature.epsilon)},
            {"dataset", data}};
}

/// Arrays that were given alone, and are not split, are there to be evaluated on.
std::shared_ptr<const Dataset> test_part(const DatasetPair& data, const DatasetOptions& options) {
    if (data.test) return data.test;
    return options.test_samples ? first_samples(data.train, *options.test_samples) : data.train;
}

void evaluate_file(const std::filesystem::path& path, RunOptions options, const OptionTable& table,
                   const Communicator& communicator) {
    const SafetensorsFile file = SafetensorsFile::read(path);
    const std::optional<ModelSignature> signature = read_signature(file);
    if (signature) take_over(*signature, FileAgainstOptions(file, table), options);
    const DatasetPair data = load_dataset(options.data);
    const std::shared_ptr<const Dataset> tested = test_part(data, options.data);
    const Dataset& test = *tested;
    if (signature) check_shape(*signature, test, path);
    if (!signature && !data.train)
        throw UsageError(path.string() +
                         " does not say how its inputs were made: name the training data with --data");
    const LoadedModel<float> loaded =
        signature ? load_model<float>(file)
                  : load_model<float>(file, signature_from(options, *data.train, communicator));

    Settings common = settings_of(loaded.signature, test.name(), path);
    common.emplace_back("fingerprint", to_hex16(fingerprint(*loaded.network)));
    common.emplace_back("test data", outline(test) + ", spot checks " + to_hex16(spot_check(test)));
    check_agreement(communicator, "what to evaluate", common);
    const Evaluation result = evaluate(*loaded.network, test, loaded.signature.input,
                                       parse_loss(loaded.signature.loss), communicator);
    if (!std::isfinite(result.loss))
        throw NumericalError(path.string() + ": its network gives values on data set " + test.name() +
                             " that are not finite: the training had diverged, or another input is meant");
    const Console console(communicator.rank() == 0);
    console.settings(settings_of(loaded.signature, test.name(), path));
    for (const std::string& note : notes_on(loaded.report, path)) console.line("  " + note);
    console.evaluation(result);
}

}  // namespace

void evaluate_command(const std::vector<std::string>& arguments) {
    EvaluateOptions options;
    OptionTable table = table_of(options);
    read_arguments(arguments, table, options.run);
    if (options.run.help)
        return print_once("mpirun -n RANKS lockstep evaluate --weights DIR/model.safetensors\n" +
                          table.help({own_group, data_group, network_group}));
    if (options.weights.empty())
        throw UsageError(
            "weights: which? give a .safetensors file with --weights, such as DIR/model.safetensors");
    const Communicator communicator(MPI_COMM_WORLD, {.timeout_seconds = options.run.timeout_seconds});
    or_announce(communicator, [&] { evaluate_file(options.weights, options.run, table, communicator); });
}

}  // namespace lockstep::launch
