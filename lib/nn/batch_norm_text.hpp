/// The settings of one batch norm in a model text: "epsilon 0.001 momentum 0.01 affine false".
#pragma once

#include <lockstep/nn/batch_norm.hpp>
#include <lockstep/nn/layer_arguments.hpp>

#include <string>
#include <vector>

namespace lockstep {

/// In any order, each at most once; "momentum cumulative" has no number.
BatchNormSettings read_batch_norm_settings(const LayerArguments& layer);

/// The words that read_batch_norm_settings reads, in the order epsilon, momentum, affine; nothing is said of
/// what is as it always is.
std::vector<std::string> batch_norm_arguments(const BatchNormSettings& settings);

BatchNormOptions batch_norm_options(const BatchNormSettings& settings, const BatchNormSetup& setup);

}  // namespace lockstep
