#include "options.hpp"

#include "output_folder.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/nn/model_parser.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <fstream>

namespace lockstep::launch {
namespace {

namespace po = boost::program_options;

/// The shortest text that reads back as the same number.
std::string to_text(double value) {
    char text[40];
    for (int digits = 6; digits <= 17; ++digits) {
        std::snprintf(text, sizeof text, "%.*g", digits, value);
        if (std::stod(text) == value) break;
    }
    return text;
}

std::string to_text(bool value) {
    return value ? "true" : "false";
}

bool parse_switch(const std::string& name, const std::string& text) {
    if (text == "true") return true;
    if (text == "false") return false;
    throw UsageError(name + ": '" + text + "' is neither true nor false");
}

/// By hand: a stream would read -1 as 2⁶⁴ − 1.
std::uint64_t parse_seed(const std::string& text) {
    std::uint64_t seed = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
    if (error != std::errc() || end != text.data() + text.size())
        throw UsageError("seed: '" + text + "' is no whole number from 0 to 2^64 - 1");
    return seed;
}

/// Throws where a value would not come back from config.cfg as it went in.
void check_can_be_stored(const Settings& settings) {
    for (const auto& [name, value] : settings)
        if (value.find_first_of("#\n\r") != std::string::npos || value.find_first_of(" \t") == 0 ||
            value.find_last_of(" \t") == value.size() - 1)
            throw UsageError(
                name + ": '" + value +
                "' holds a '#', a line break or a space at its end, which a configuration file cannot "
                "hold: choose another name");
}

Reduction parse_reduction(const std::string& text) {
    if (text == "reproducible") return Reduction::reproducible;
    if (text == "fast") return Reduction::fast;
    throw UsageError("reduction: '" + text + "' is no choice; there are reproducible and fast");
}

po::options_description data_options() {
    po::options_description group("Data");
    const DatasetOptions defaults;
    auto add = group.add_options();
    add("dataset", po::value<std::string>()->default_value(defaults.name),
        "digits (built in), mnist or cifar10");
    add("data-dir", po::value<std::string>(), "folder of the data set's files");
    add("train-samples", po::value<Index>(), "use only the first N training samples");
    add("test-samples", po::value<Index>(), "use only the first N test samples");
    add("classes", po::value<int>(), "how many classes (default: as many as the labels of the data set say)");
    add("input", po::value<std::string>()->default_value("unit"),
        "raw (0…255), unit (0…1), or standardized (training-set mean and deviation)");
    return group;
}

po::options_description network_options() {
    po::options_description group("Network");
    const TrainerOptions defaults;
    auto add = group.add_options();
    add("model", po::value<std::string>()->default_value(defaults.model), "layers in order");
    add("bn-epsilon", po::value<double>()->default_value(defaults.epsilon, to_text(defaults.epsilon)),
        "added to the variance");
    return group;
}

po::options_description statistics_options() {
    po::options_description group("Batch normalization");
    auto add = group.add_options();
    add("bn", po::value<std::string>()->default_value("sync"),
        "whose values make the statistics: sync (all replicas), local (each replica's own), or group:K");
    add("bn-momentum", po::value<std::string>()->default_value("0.1"),
        "weight of the newest batch in the running averages, or cumulative");
    add("precise-bn", po::value<Index>()->default_value(0),
        "recompute exact population statistics from so many batches before evaluating; 0 = off");
    return group;
}

po::options_description optimization_options() {
    po::options_description group("Training");
    const TrainerOptions defaults;
    const auto number = [](double value) {
        return po::value<double>()->default_value(value, to_text(value));
    };
    auto add = group.add_options();
    add("replicas", po::value<int>(),
        "logical workers, at least one for each rank (default: the number of ranks)");
    add("batch-size", po::value<Index>()->default_value(defaults.batch_size), "samples per replica and step");
    add("epochs", po::value<Index>()->default_value(10), "passes over the training samples");
    add("optimizer", po::value<std::string>()->default_value("sgd"), "sgd or adamw");
    add("learning-rate", number(defaults.schedule.learning_rate), "full learning rate");
    add("momentum", number(defaults.optimizer.momentum), "of sgd");
    add("nesterov", po::value<std::string>()->default_value("false"), "true or false");
    add("weight-decay", number(defaults.optimizer.weight_decay), "as torch.optim applies it");
    add("decay", po::value<std::string>()->default_value("all"),
        "what decays: all parameters, or only weights (of linear and convolution layers)");
    add("schedule", po::value<std::string>()->default_value("constant"), "constant, cosine or step");
    add("warmup-epochs", number(0), "epochs of linear warm-up");
    add("augment-crop", po::value<Index>()->default_value(0), "random crops after padding by so many pixels");
    add("augment-flip", po::value<std::string>()->default_value("false"),
        "random horizontal flips: true or false");
    add("seed", po::value<std::string>()->default_value(std::to_string(defaults.seed)),
        "of everything that is random");
    add("shuffle", po::value<std::string>()->default_value("true"), "a new order each epoch: true or false");
    add("init-from", po::value<std::string>(), "start from the weights in a .safetensors file");
    add("init-partial", po::value<std::string>()->default_value("false"),
        "take what fits of them and say what does not: true or false");
    return group;
}

po::options_description run_options() {
    po::options_description group("Run");
    const RunOptions defaults;
    auto add = group.add_options();
    add("config", po::value<std::string>(), "read options from a file; the command line overrides it");
    add("output", po::value<std::string>(), "run folder (default: a new one in runs/)");
    add("checkpoint-every", po::value<Index>()->default_value(defaults.checkpoint_every), "in epochs");
    add("resume", po::bool_switch(),
        "continue what the output folder holds, on any number of ranks; without a checkpoint, from the "
        "beginning");
    add("reduction", po::value<std::string>()->default_value("reproducible"),
        "how gradients are summed: reproducible (the same bits at any number of ranks) or fast "
        "(MPI_Allreduce)");
    add("timeout", po::value<double>()->default_value(defaults.timeout_seconds, "300"),
        "seconds that an exchange may wait for other ranks");
    add("help", po::bool_switch(), "print this");
    return group;
}

void read_file(const std::filesystem::path& path, const po::options_description& known,
               po::variables_map& values) {
    std::ifstream file(path);
    if (!file || std::filesystem::is_directory(path))
        throw FileError(path.string() + ": the configuration file cannot be read");
    try {
        po::store(po::parse_config_file(file, known), values);
    } catch (const po::error& error) {
        throw UsageError(path.string() + ": " + error.what());
    }
}

/// The configuration of a run or a study to resume. If it is missing and there are results the command line
/// gives the settings, and the results say whether they are the right ones.
void read_run_file(const std::filesystem::path& folder, const po::options_description& known,
                   po::variables_map& values) {
    if (is_there(folder / "config.cfg")) return read_file(folder / "config.cfg", known, values);
    for (const char* result : {"checkpoint.safetensors", "metrics.jsonl", "combinations"})
        if (is_there(folder / result)) return;
    throw UsageError(folder.string() + ": " + no_run_to_resume);
}

/// A path that means the same in every working directory.
std::filesystem::path absolute_path(const std::filesystem::path& path) {
    if (path.empty()) return path;
    const std::filesystem::path whole = std::filesystem::absolute(path);
    // After a symbolic link ".." is not the folder before it.
    return std::ranges::find(whole, "..") == whole.end() ? whole.lexically_normal() : whole;
}

template <class Value>
std::optional<Value> optional(const po::variables_map& values, const char* name) {
    if (!values.count(name)) return std::nullopt;
    return values[name].as<Value>();
}

}  // namespace

po::options_description model_options() {
    po::options_description all;
    all.add(data_options()).add(network_options());
    return all;
}

po::options_description training_options() {
    po::options_description all;
    all.add(data_options())
        .add(network_options())
        .add(statistics_options())
        .add(optimization_options())
        .add(run_options());
    return all;
}

po::variables_map parse_arguments(const std::vector<std::string>& arguments,
                                  const po::options_description& known) {
    po::variables_map values;
    try {
        using namespace po::command_line_style;
        // Whole names only: an abbreviation that works today may be ambiguous tomorrow.
        const auto parsed = po::command_line_parser(arguments)
                                .options(known)
                                .style(allow_long | long_allow_adjacent | long_allow_next)
                                .run();
        for (const auto& option : parsed.options)
            if (option.position_key >= 0)
                throw UsageError("'" + option.value.front() +
                                 "' is not expected: options are written --name value; see --help");
        po::store(parsed, values);
    } catch (const po::error& error) {
        throw UsageError(std::string(error.what()) + "; see --help");
    }
    // What is stored first wins, but for defaults. A continued run is what its folder says that it was.
    if (values.count("resume") && values["resume"].as<bool>()) {
        if (!values.count("output")) throw UsageError("resume: which run? give its folder with --output");
        read_run_file(values["output"].as<std::string>(), known, values);
    } else if (values.count("config")) {
        read_file(values["config"].as<std::string>(), known, values);
    }
    po::notify(values);
    return values;
}

RunOptions to_run_options(const po::variables_map& values) {
    const auto text = [&](const char* name) { return values[name].as<std::string>(); };
    const auto number = [&](const char* name) { return values[name].as<double>(); };
    const auto count = [&](const char* name) { return values[name].as<Index>(); };
    const auto path = [&](const char* name) {
        return std::filesystem::path(optional<std::string>(values, name).value_or(""));
    };
    // A continued run may be started in another folder than it began in.
    RunOptions run;
    run.data = {.name = text("dataset"),
                .directory = absolute_path(path("data-dir")),
                .train_samples = optional<Index>(values, "train-samples"),
                .test_samples = optional<Index>(values, "test-samples"),
                .classes = optional<int>(values, "classes")};
    TrainerOptions& trainer = run.trainer;
    trainer.input = parse_input_kind(text("input"));
    trainer.model = canonical_model(text("model"));
    trainer.epsilon = number("bn-epsilon");
    trainer.batch_norm = BatchNormMode::parse(text("bn"));
    trainer.running_momentum = parse_running_momentum(text("bn-momentum"));
    trainer.precise_batches = count("precise-bn");
    trainer.replicas = optional<int>(values, "replicas");
    trainer.batch_size = count("batch-size");
    trainer.optimizer = {.kind = parse_optimizer_kind(text("optimizer")),
                         .momentum = number("momentum"),
                         .nesterov = parse_switch("nesterov", text("nesterov")),
                         .weight_decay = number("weight-decay"),
                         .decay = parse_weight_decay_scope(text("decay"))};
    trainer.schedule = {.kind = parse_schedule_kind(text("schedule")),
                        .learning_rate = number("learning-rate"),
                        .epochs = count("epochs"),
                        .warmup_epochs = number("warmup-epochs")};
    trainer.augmentation = {.crop_padding = count("augment-crop"),
                            .horizontal_flip = parse_switch("augment-flip", text("augment-flip"))};
    trainer.seed = parse_seed(text("seed"));
    trainer.shuffle = parse_switch("shuffle", text("shuffle"));
    trainer.reduction = parse_reduction(text("reduction"));
    run.input_given = !values["input"].defaulted();
    run.epsilon_given = !values["bn-epsilon"].defaulted();
    run.init_from = absolute_path(path("init-from"));
    run.init_partial = parse_switch("init-partial", text("init-partial"));
    if (run.init_partial && run.init_from.empty())
        throw UsageError("init-partial: there is nothing to take; name the weights with --init-from");
    run.output = path("output");
    run.checkpoint_every = count("checkpoint-every");
    if (run.checkpoint_every < 1) throw UsageError("checkpoint-every must be at least 1 epoch");
    run.resume = values["resume"].as<bool>();
    run.timeout_seconds = number("timeout");
    check_can_be_stored(resolved_settings(run));
    return run;
}

Settings resolved_settings(const RunOptions& run) {
    const TrainerOptions& trainer = run.trainer;
    const auto limit = [](std::optional<Index> samples) { return samples ? std::to_string(*samples) : ""; };
    Settings all = {
        {"model", trainer.model},
        {"dataset", run.data.name},
        {"data-dir", run.data.directory.string()},
        {"train-samples", limit(run.data.train_samples)},
        {"test-samples", limit(run.data.test_samples)},
        {"classes", run.data.classes ? std::to_string(*run.data.classes) : ""},
        {"input", trainer.input ? to_string(*trainer.input) : ""},
        {"bn", trainer.batch_norm.to_string()},
        {"bn-momentum", running_momentum_to_string(trainer.running_momentum)},
        {"bn-epsilon", to_text(trainer.epsilon)},
        {"precise-bn", std::to_string(trainer.precise_batches)},
        {"replicas", trainer.replicas ? std::to_string(*trainer.replicas) : ""},
        {"batch-size", std::to_string(trainer.batch_size)},
        {"epochs", std::to_string(trainer.schedule.epochs)},
        {"optimizer", std::string(to_string(trainer.optimizer.kind))},
        {"learning-rate", to_text(trainer.schedule.learning_rate)},
        {"momentum", to_text(trainer.optimizer.momentum)},
        {"nesterov", to_text(trainer.optimizer.nesterov)},
        {"weight-decay", to_text(trainer.optimizer.weight_decay)},
        {"decay", std::string(to_string(trainer.optimizer.decay))},
        {"schedule", std::string(to_string(trainer.schedule.kind))},
        {"warmup-epochs", to_text(trainer.schedule.warmup_epochs)},
        {"augment-crop", std::to_string(trainer.augmentation.crop_padding)},
        {"augment-flip", to_text(trainer.augmentation.horizontal_flip)},
        {"seed", std::to_string(trainer.seed)},
        {"shuffle", to_text(trainer.shuffle)},
        {"init-from", run.init_from.string()},
        {"init-partial", run.init_partial ? "true" : ""},
        {"checkpoint-every", std::to_string(run.checkpoint_every)},
        {"reduction", trainer.reduction == Reduction::fast ? "fast" : "reproducible"},
        {"timeout", to_text(run.timeout_seconds)},
    };
    std::erase_if(all, [](const auto& setting) { return setting.second.empty(); });
    return all;
}

std::string configuration_text(const Settings& settings) {
    std::string text;
    for (const auto& [name, value] : settings) text += name + " = " + value + "\n";
    return text;
}

Settings common_settings(Settings settings) {
    std::erase_if(settings, [](const auto& setting) {
        return setting.first == "data-dir" || setting.first == "init-from";
    });
    return settings;
}

}  // namespace lockstep::launch
