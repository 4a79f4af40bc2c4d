/// Weights from files, for training to start from, and what there is to say about them.
#pragma once

#include "options.hpp"

#include <lockstep/data/input_transform.hpp>
#include <lockstep/nn/network.hpp>
#include <lockstep/train/weights.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace lockstep::launch {

/// What a person should know of a load, one line each; nothing if all went as usual.
std::vector<std::string> notes_on(const LoadReport& report, const std::filesystem::path& path);

/// Loads the file of --init-from into the network and returns what to print.
///
/// What the file was trained on may differ from the run's: that is what fine-tuning is for. But a difference
/// of input or epsilon that nobody asked for, because the run's is a default, is more likely an oversight and
/// a UsageError; where the user has said what the run's is, it is a note. The numbers of standardized inputs
/// come from the run's own data either way.
std::vector<std::string> load_initial_weights(const RunOptions& run, const InputTransform& input,
                                              Network<float>& network);

}  // namespace lockstep::launch
