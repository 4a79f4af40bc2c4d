/// The options of `compare`: which combinations, and what each of them runs.
#pragma once

#include "options.hpp"

#include <lockstep/report/study.hpp>
#include <lockstep/train/batch_norm_mode.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lockstep::launch {

/// As constructed, everything is as by default.
struct StudyOptions {
    RunOptions run;  ///< what all combinations have in common
    std::vector<BatchNormMode> modes = {
        {StatisticsScope::local}, {StatisticsScope::group, 4}, {StatisticsScope::sync}};
    std::vector<Index> batch_sizes = {2, 4, 8, 16, 32};
    std::vector<std::uint64_t> seeds = {1, 2, 3};
    Index global_batch = 64;
    AverageKind averages = AverageKind::pooled;
    std::vector<int> predicted_ranks;                                   ///< empty: no prediction
    std::optional<double> latency_seconds, bandwidth_bytes_per_second;  ///< between nodes
    std::optional<double> node_latency_seconds, node_bandwidth_bytes_per_second;
    int ranks_per_node = 1;
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

/// The options of `compare`, with those of `train` after its own.
void add_options(OptionTable& table, StudyOptions& study);

/// Sorts the batch sizes. Throws UsageError, naming the option, if values make no sense together.
void complete(StudyOptions& study);

/// All combinations, in the order of tables: by mode, then batch size, then seed.
std::vector<CombinationPlan> all_combinations(const StudyOptions& options);
/// The run that a combination stands for.
RunOptions run_options_of(const StudyOptions& options, const CombinationPlan& plan);

}  // namespace lockstep::launch
