/// The options of a run: config.cfg gives them back, and table and library agree on what bits depend on.
#include "launch/options.hpp"

#include <lockstep/train/trainer_options.hpp>

#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>
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
                                                         {"data", "/x.h5:/a/x:/y"},
                                                         {"test-data", "/t.npy:/u.npy"},
                                                         {"test-split", "0.25"},
                                                         {"verify-data", "full"},
                                                         {"channels-first", "true"},
                                                         {"loss", "huber 0.5"},
                                                         {"label-smoothing", "0.125"},
                                                         {"clip-norm", "2"},
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
                                                         {"checkpoint-every", "500steps"},
                                                         {"keep-checkpoints", "5"},
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
           to_text(data.classes) + " " + to_text(data.test_split) + " " + to_text(int{data.channels_first});
}

/// What the library compares before it goes on with a run.
Settings library_settings(const RunOptions& run) {
    return settings_of(run.trainer, data_of(run.data), 1, sizeof(float));
}

/// A config.cfg as the first versions wrote it.
constexpr const char* early_configuration =
    "model = batchnorm, linear 10\ndataset = digits\ndata-dir = /data\ntrain-samples = 64\n"
    "test-samples = 20\nclasses = 12\ninput = unit\nbn = group:2\nbn-momentum = 0.1\nbn-epsilon = 1e-05\n"
    "precise-bn = 0\nreplicas = 2\nbatch-size = 32\nepochs = 1\noptimizer = sgd\nlearning-rate = 0.1\n"
    "momentum = 0.9\nnesterov = false\nweight-decay = 0.0001\ndecay = all\nschedule = constant\n"
    "warmup-epochs = 0\naugment-crop = 0\naugment-flip = false\nseed = 18446744073709551615\n"
    "shuffle = true\ninit-from = /weights.safetensors\ninit-partial = true\ncheckpoint-every = 1\n"
    "reduction = reproducible\ntimeout = 300\n";

TEST(RunOptions, AConfigurationOfEarlierIsWrittenAsItWas) {
    const std::filesystem::path file =
        std::filesystem::path(testing::TempDir()) / ("early-" + std::to_string(::getpid()) + ".cfg");
    std::ofstream(file) << early_configuration;
    RunOptions run;
    OptionTable table = table_of(run);
    table.read_file(file);
    std::filesystem::remove(file);
    EXPECT_EQ(configuration_text(resolved_settings(run)), early_configuration);
}

TEST(RunOptions, EveryKeptOptionIsWrittenAsItWasRead) {
    const Settings by_default = resolved_settings(RunOptions());
    for (const Option& option : kept_options()) {
        const std::string& value = other_values.at(option.name);
        const auto changes = differences(by_default, resolved_settings(with(option.name, value)));
        ASSERT_EQ(changes.size(), 1U) << option.name;
        EXPECT_EQ(changes[0].name, option.name);
        EXPECT_EQ(changes[0].right, value);
    }
}

TEST(RunOptions, TheLibraryComparesWhatBitsDependOn) {
    // A constant rate does not ask for the number of epochs; initial weights are compared as such.
    // How much is hashed changes the hash; label smoothing becomes a part of the loss once all options are read.
    const std::set<std::string> elsewhere = {"epochs", "init-partial", "verify-data", "label-smoothing"};
    const Settings before = library_settings(RunOptions());
    for (const Option& option : kept_options()) {
        if (elsewhere.contains(option.name)) continue;
        const Settings after = library_settings(with(option.name, other_values.at(option.name)));
        EXPECT_EQ(after != before, option.role == OptionRole::result) << option.name;
    }
}

TEST(RunOptions, RanksCompareAllButPlaces) {
    const Settings before = common_settings(RunOptions());
    for (const Option& option : kept_options()) {
        const RunOptions other = with(option.name, other_values.at(option.name));
        EXPECT_EQ(common_settings(other) != before, option.role != OptionRole::place) << option.name;
    }
}

}  // namespace
}  // namespace lockstep::launch
