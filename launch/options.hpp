/// The command line and the configuration file: from words to the library's option structs.
#pragma once

#include <lockstep/base/settings.hpp>
#include <lockstep/data/load_dataset.hpp>
#include <lockstep/train/trainer.hpp>

#include <boost/program_options.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace lockstep::launch {

/// What `train` and `evaluate` are asked to do.
struct RunOptions {
    TrainerOptions trainer;
    DatasetOptions data;
    std::filesystem::path init_from;
    bool init_partial = false;
    /// Whether the user said what these are: what is only a default gives way to what a model file says.
    bool input_given = false, epsilon_given = false;
    std::filesystem::path output;
    Index checkpoint_every = 1;
    bool resume = false;
    double timeout_seconds = 300;
};

/// All settings that a run was resolved to, in the order of the option table, as they would stand in a
/// configuration file.
Settings resolved_settings(const RunOptions& options);
/// Settings as the text of a configuration file.
std::string configuration_text(const Settings& settings);
/// Those that all ranks must have in common: a path may differ, and what is read there is compared.
Settings common_settings(Settings settings);

/// What is wrong with a folder that nothing has begun in, after its name.
inline constexpr const char* no_run_to_resume =
    "there is nothing to resume: check the name of the folder, or begin without --resume";

/// The options of `train`, grouped for --help.
boost::program_options::options_description training_options();
/// Those among them that say which data and which model.
boost::program_options::options_description model_options();

/// Reads `arguments` and then, for what they leave open, the file that --config names, and with --resume the
/// configuration in the output folder. Throws UsageError or FileError, naming the option, on anything
/// unknown.
boost::program_options::variables_map parse_arguments(
    const std::vector<std::string>& arguments, const boost::program_options::options_description& known);

/// From named values to structs. Throws UsageError, naming the option, on a value that makes no sense.
RunOptions to_run_options(const boost::program_options::variables_map& values);

}  // namespace lockstep::launch
