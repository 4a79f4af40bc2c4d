/// The table of the launcher and the library agree on what the bits of a result depend on.
#include "launch/options.hpp"

#include <lockstep/train/trainer_options.hpp>

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

namespace lockstep::launch {
namespace {

/// Another value than the default for each option that is kept.
const std::map<std::string, std::string> other_values = {{"model", "linear 10"},
                                                         {"dataset", "mnist"},
                                                         {"data-dir", "/data"},
                                                         {"train-samples", "9"},
                                                         {"test-samples", "8"},
                                                         {"classes", "12"},
                                                         {"input", "raw"},
                                                         {"bn", "group:2"},
                                                         {"bn-momentum", "cumulative"},
                                                         {"bn-epsilon", "0.5"},
                                                         {"precise-bn", "3"},
                                                         {"replicas", "5"},
                                                         {"batch-size", "6"},
                                                         {"epochs", "7"},
                                                         {"optimizer", "adamw"},
                                                         {"learning-rate", "0.25"},
                                                         {"momentum", "0.75"},
                                                         {"nesterov", "true"},
                                                         {"weight-decay", "0.125"},
                                                         {"decay", "weights"},
                                                         {"schedule", "step"},
                                                         {"warmup-epochs", "1.5"},
                                                         {"augment-crop", "2"},
                                                         {"augment-flip", "true"},
                                                         {"seed", "11"},
                                                         {"shuffle", "false"},
                                                         {"init-from", "/weights.safetensors"},
                                                         {"init-partial", "true"},
                                                         {"checkpoint-every", "4"},
                                                         {"reduction", "fast"},
                                                         {"timeout", "60"}};

std::vector<Option> kept_options() {
    RunOptions run;
    std::vector<Option> options = table_of(run).options();
    std::erase_if(options, [](const Option& option) { return option.role == OptionRole::call; });
    return options;
}

RunOptions with(const std::string& option, const std::string& value) {
    RunOptions run;
    OptionTable table = table_of(run);
    table.read_words({"--" + option, value});
    return run;
}

/// Which data a run works on, as far as options say.
std::string data_of(const DatasetOptions& data) {
    return data.name + to_text(data.train_samples) + " " + to_text(data.test_samples) + " " +
           to_text(data.classes);
}

/// What the library compares before it goes on with a run.
Settings library_settings(const RunOptions& run) {
    return settings_of(run.trainer, data_of(run.data), 1, sizeof(float));
}

TEST(OptionRoles, EveryKeptOptionIsWrittenAsItWasRead) {
    const Settings by_default = resolved_settings(RunOptions());
    for (const Option& option : kept_options()) {
        const std::string value = other_values.at(option.name);
        const auto changes = differences(by_default, resolved_settings(with(option.name, value)));
        ASSERT_EQ(changes.size(), 1U) << option.name;
        EXPECT_EQ(changes[0].name, option.name);
        EXPECT_EQ(changes[0].right, value);
    }
}

TEST(OptionRoles, TheLibraryComparesWhatBitsDependOn) {
    // A constant rate does not ask for the number of epochs; initial weights are compared as such.
    const std::set<std::string> elsewhere = {"epochs", "init-partial"};
    const Settings before = library_settings(RunOptions());
    for (const Option& option : kept_options()) {
        if (elsewhere.contains(option.name)) continue;
        const Settings after = library_settings(with(option.name, other_values.at(option.name)));
        EXPECT_EQ(after != before, option.role == OptionRole::result) << option.name;
    }
}

TEST(OptionRoles, RanksCompareAllButPlaces) {
    const Settings before = common_settings(RunOptions());
    for (const Option& option : kept_options()) {
        const RunOptions other = with(option.name, other_values.at(option.name));
        EXPECT_EQ(common_settings(other) != before, option.role != OptionRole::place) << option.name;
    }
}

}  // namespace
}  // namespace lockstep::launch
