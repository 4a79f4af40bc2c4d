#include "study_options.hpp"

#include <lockstep/base/error.hpp>

#include <algorithm>

namespace lockstep::launch {
namespace {

void check_positive(const char* option, std::optional<double> value) {
    if (value && !(*value > 0)) throw UsageError(std::string(option) + " must be positive");
}

}  // namespace

void add_options(OptionTable& table, StudyOptions& study) {
    table.group("Study");
    table.add("modes", study.modes, list_of(library_text(BatchNormMode::parse)),
              "what to compare: local, sync, group:K");
    table.add("batch-sizes", study.batch_sizes, list_of(whole_number<Index>(1)),
              "samples per replica and step; the number of replicas follows");
    table.add("seeds", study.seeds, list_of(whole_number<std::uint64_t>(0)), "one run with each");
    table.add("global-batch", study.global_batch, "samples per step over all replicas");
    table.add(
        "running-averages", study.averages,
        one_of<AverageKind>({{"pooled", AverageKind::pooled}, {"first", AverageKind::first}}),
        "behind the test errors: pooled over all replicas, or only the first replica's; the report shows "
        "both",
        OptionRole::course);
    table.add("predict", study.predicted_ranks, list_of(whole_number<int>(2)),
              "numbers of ranks, such as 2,4,8,4096, at which to predict the time of a step",
              OptionRole::course);
    table.add("latency", study.latency_seconds,
              "of the network, in seconds (default: measured between the ranks)", OptionRole::course);
    table.add("bandwidth", study.bandwidth_bytes_per_second,
              "of the network, in bytes per second (default: measured between the ranks)",
              OptionRole::course);
    table.add("ranks-per-node", study.ranks_per_node, whole_number<int>(1),
              "of the cluster that is predicted: they share memory, and the network of their node",
              OptionRole::course);
    table.add("node-latency", study.node_latency_seconds,
              "within a node, in seconds (default: measured between the ranks)", OptionRole::course);
    table.add(
        "node-bandwidth", study.node_bandwidth_bytes_per_second,
        "at which a rank reads what others of its node have written, in bytes per second (default: measured "
        "between the ranks)",
        OptionRole::course);
    add_options(table, study.run);
    // The combinations differ in these, and leave no checkpoints.
    table.set_role({"bn", "batch-size", "replicas", "seed", "checkpoint-every", "keep-checkpoints"},
                   OptionRole::call);
}

void complete(StudyOptions& study) {
    std::ranges::sort(study.batch_sizes);
    for (const Index size : study.batch_sizes)
        if (study.global_batch < size || study.global_batch % size != 0)
            throw UsageError("batch-sizes: " + std::to_string(size) +
                             " does not divide the global batch of " + std::to_string(study.global_batch) +
                             "; see --global-batch");
    study.run.data.split_seed = DatasetOptions().split_seed;  // the seeds are those of the runs
    check_positive("latency", study.latency_seconds);
    check_positive("bandwidth", study.bandwidth_bytes_per_second);
    check_positive("node-latency", study.node_latency_seconds);
    check_positive("node-bandwidth", study.node_bandwidth_bytes_per_second);
}

std::string CombinationPlan::reason_to_leave_out() const {
    if (mode.scope != StatisticsScope::group || replicas % mode.group == 0) return "";
    return "groups of " + std::to_string(mode.group) + " do not fit " + std::to_string(replicas) +
           (replicas == 1 ? " replica" : " replicas");
}

std::vector<CombinationPlan> all_combinations(const StudyOptions& study) {
    std::vector<CombinationPlan> plans;
    for (const BatchNormMode& mode : study.modes)
        for (const Index size : study.batch_sizes)
            for (const std::uint64_t seed : study.seeds)
                plans.push_back({mode, size, static_cast<int>(study.global_batch / size), seed});
    return plans;
}

RunOptions run_options_of(const StudyOptions& study, const CombinationPlan& plan) {
    RunOptions run = study.run;
    run.trainer.batch_norm = plan.mode;
    run.trainer.batch_size = plan.batch_size;
    run.trainer.replicas = plan.replicas;
    run.trainer.seed = plan.seed;
    return run;
}

}  // namespace lockstep::launch
