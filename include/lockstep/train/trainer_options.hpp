/// What a run is asked to do, and what its bits depend on.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/base/settings.hpp>
#include <lockstep/base/shape.hpp>
#include <lockstep/comm/gradient_sum.hpp>
#include <lockstep/data/augmentation.hpp>
#include <lockstep/data/dataset.hpp>
#include <lockstep/data/input_transform.hpp>
#include <lockstep/nn/loss.hpp>
#include <lockstep/train/batch_norm_mode.hpp>
#include <lockstep/train/optimizer.hpp>
#include <lockstep/train/schedule.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace lockstep {

/// Everything that a run depends on beside the data. The same on every rank.
struct TrainerOptions {
    std::string model = "batchnorm, linear 300, relu, batchnorm, linear 100, relu, batchnorm, linear 10";
    std::optional<InputKind> input = std::nullopt;  ///< std::nullopt: unit for bytes, raw for other values
    Loss loss = nullptr;                            ///< null: cross-entropy for classes, mse for values
    AugmentationOptions augmentation = {};
    BatchNormMode batch_norm = {};
    std::optional<double> running_momentum = 0.1;  ///< std::nullopt: cumulative
    double epsilon = 1e-5;
    Index precise_batches = 0;                   ///< of PreciseBN, 0 = off
    std::optional<int> replicas = std::nullopt;  ///< std::nullopt: one on each rank
    Index batch_size = 32;                       ///< samples per replica and step, at most
    OptimizerOptions optimizer = {};
    std::optional<double> clip_norm = std::nullopt;  ///< gradients of a larger norm are scaled down to it
    ScheduleOptions schedule = {};                   ///< holds the number of epochs
    std::uint64_t seed = 1;
    bool shuffle = true;
    Reduction reduction = Reduction::reproducible;
    bool verify_all_data = false;  ///< hash all inputs, however large: see data_survey.hpp
    GradientPath gradient_path = GradientPath::automatic;  ///< changes no bit
};

/// The options with what depends on the data filled in: input and loss, and a batch size that is no larger than the
/// data.
LOCKSTEP_EXPORT TrainerOptions resolved(TrainerOptions options, const Dataset& data);

/// Everything that the bits of a run depend on, options and data alike, by name: what ranks, and a run and
/// its continuation, must have in common. The options are resolved, `data` is what a survey says of the training
/// data (see data_survey.hpp), `replicas` stands for options.replicas if that is not set, `scalar_bytes` is the
/// size of the values trained. The number of epochs is among them only if the schedule asks for it. Throws
/// UsageError if the model text cannot be read.
LOCKSTEP_EXPORT Settings settings_of(const TrainerOptions& options, const std::string& data, int replicas,
                                     std::size_t scalar_bytes);

}  // namespace lockstep
