/// What a run is asked to do, and what its bits depend on.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/base/settings.hpp>
#include <lockstep/base/shape.hpp>
#include <lockstep/comm/replica_sum.hpp>
#include <lockstep/data/augmentation.hpp>
#include <lockstep/data/dataset.hpp>
#include <lockstep/data/input_transform.hpp>
#include <lockstep/train/batch_norm_mode.hpp>
#include <lockstep/train/gradient_reducer.hpp>
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
    InputKind input = InputKind::unit;
    AugmentationOptions augmentation;
    BatchNormMode batch_norm;
    std::optional<double> running_momentum = 0.1;  ///< std::nullopt: cumulative
    double epsilon = 1e-5;
    Index precise_batches = 0;    ///< of PreciseBN, 0 = off
    std::optional<int> replicas;  ///< std::nullopt: one on each rank
    Index batch_size = 32;        ///< samples per replica and step, at most
    OptimizerOptions optimizer;
    ScheduleOptions schedule;  ///< holds the number of epochs
    std::uint64_t seed = 1;
    bool shuffle = true;
    Reduction reduction = Reduction::reproducible;
    GradientPath gradient_path = GradientPath::automatic;  ///< changes no bit
};

/// "8000 samples of 28x28x1 in 10 classes, hash 0123456789abcdef": equal texts are equal data. Reads all of
/// it.
LOCKSTEP_EXPORT std::string describe(const Dataset& data);

/// Everything that the bits of a run depend on, options and data alike, by name: what ranks, and a run and
/// its continuation, must have in common. `data` is describe(training data); `replicas` stands for
/// options.replicas if that is not set, `scalar_bytes` is the size of the values trained. The number of
/// epochs is among them only if the schedule asks for it. Throws UsageError if the model text cannot be read.
LOCKSTEP_EXPORT Settings settings_of(const TrainerOptions& options, const std::string& data, int replicas,
                                     std::size_t scalar_bytes);

}  // namespace lockstep
