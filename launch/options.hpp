/// The options of `train`, which all commands build on: what they are, and how a command line is read.
#pragma once

#include "checkpoint_interval.hpp"
#include "option_table.hpp"

#include <lockstep/base/settings.hpp>
#include <lockstep/data/load_dataset.hpp>
#include <lockstep/train/trainer.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace lockstep::launch {

/// Whether to continue what is in the output folder.
enum class ResumeMode {
    no,
    yes,
    automatic,  ///< if there is something
};

/// What `train` is asked to do. As constructed, everything is as by default.
struct RunOptions {
    RunOptions() { trainer.schedule.epochs = 10; }

    TrainerOptions trainer;
    DatasetOptions data;
    std::filesystem::path init_from;
    bool init_partial = false;
    /// Whether the user said what it is: what is only a default gives way to what a model file says.
    bool epsilon_given = false;
    double label_smoothing = 0;
    std::filesystem::path config;
    std::filesystem::path output;
    CheckpointInterval checkpoint_every;
    Index keep_checkpoints = 2;
    ResumeMode resume_mode = ResumeMode::no;
    bool resume = false;  ///< whether there is something to resume, where that decides
    double timeout_seconds = 300;
    bool help = false;
};

/// Titles of parts of the help.
inline constexpr const char* data_group = "Data";
inline constexpr const char* network_group = "Network";

/// The one place where these options are listed, in the order of config.cfg. A new one is a member with its
/// default and one entry here. A command with options of its own has such a function for a struct of its own,
/// which calls this one for the RunOptions in it.
void add_options(OptionTable& table, RunOptions& run);

/// The table bound to a struct of options, whose values now are the defaults.
template <class Options>
OptionTable table_of(Options& options) {
    OptionTable table;
    add_options(table, options);
    return table;
}

/// Reads `arguments` and then, for what they leave open, the file that --config names, and with --resume, for what
/// that leaves open, too, the configuration in the output folder. `table` is bound to `run`, and to what else there may be. Throws
/// UsageError or FileError, naming the option.
void read_arguments(const std::vector<std::string>& arguments, OptionTable& table, RunOptions& run);

/// Whether the loss that was asked for takes target values for labels.
bool has_labels(const RunOptions& run);
/// What a fresh folder is named after: the data set, or that the data are one's own.
std::string data_title(const DatasetOptions& data);

/// What is wrong with a folder that nothing has begun in, after its name.
inline constexpr const char* no_run_to_resume =
    "there is nothing to resume: check the name of the folder, or begin without --resume";
/// What is wrong with a study's folder for a run.
inline constexpr const char* holds_a_study = "holds a study of lockstep compare: name another folder";

/// All settings that a run or a study was resolved to, as config.cfg has them.
template <class Options>
Settings resolved_settings(const Options& options) {
    Options copy;
    const OptionTable table = table_of(copy);  // knows the defaults, from before the next line
    copy = options;
    return table.settings();
}
/// Those that all ranks must have in common.
template <class Options>
Settings common_settings(const Options& options) {
    Options copy;
    return table_of(copy).common(resolved_settings(options));
}
/// Settings as the text of a configuration file.
std::string configuration_text(const Settings& settings);

}  // namespace lockstep::launch
