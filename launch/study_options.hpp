/// The options of `compare`: which combinations, and what each of them runs.
#pragma once

#include "options.hpp"

#include <lockstep/report/study.hpp>
#include <lockstep/train/batch_norm_mode.hpp>

#include <boost/program_options.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lockstep::launch {

struct StudyOptions {
    RunOptions run;  ///< what all combinations have in common
    std::vector<BatchNormMode> modes;
    std::vector<Index> batch_sizes;
    std::vector<std::uint64_t> seeds;
    Index global_batch = 64;
    AverageKind averages = AverageKind::pooled;
    std::vector<int> predicted_ranks;  ///< empty: no prediction
    std::optional<double> latency_seconds, bandwidth_bytes_per_second;
};

/// One cell of the study.
struct CombinationPlan {
    BatchNormMode mode;
    Index batch_size = 0;
    int replicas = 0;
    std::uint64_t seed = 0;

    /// Why the mode makes no sense with so few replicas; empty where it does.
    std::string reason_to_leave_out() const;
};

/// The options of `compare` beside those of `train`, for --help and parsing.
boost::program_options::options_description study_options();

/// From named values to structs. Throws UsageError, naming the option, on a value that makes no sense.
StudyOptions to_study_options(const boost::program_options::variables_map& values);

/// All settings, as they would stand in a configuration file.
Settings resolved_settings(const StudyOptions& options);

/// All combinations, in the order of tables: by mode, then batch size, then seed.
std::vector<CombinationPlan> all_combinations(const StudyOptions& options);
/// The run that a combination stands for.
RunOptions run_options_of(const StudyOptions& options, const CombinationPlan& plan);

}  // namespace lockstep::launch
