#include "study_options.hpp"

#include <lockstep/base/error.hpp>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <set>

namespace lockstep::launch {
namespace {

namespace po = boost::program_options;

std::vector<std::string> split(const std::string& option, const std::string& list) {
    std::vector<std::string> items;
    for (std::size_t begin = 0; begin <= list.size();) {
        const std::size_t comma = std::min(list.find(',', begin), list.size());
        std::string item = list.substr(begin, comma - begin);
        item.erase(0, item.find_first_not_of(' '));
        item.erase(item.find_last_not_of(' ') + 1);
        if (item.empty())
            throw UsageError(option + ": '" + list + "' is no list of values with commas between");
        if (std::ranges::find(items, item) != items.end())
            throw UsageError(option + ": " + item + " is there twice");
        items.push_back(std::move(item));
        begin = comma + 1;
    }
    return items;
}

template <class Number>
std::vector<Number> numbers(const std::string& option, const std::string& list, Number least) {
    std::vector<Number> values;
    for (const std::string& item : split(option, list)) {
        Number value{};
        const auto [end, error] = std::from_chars(item.data(), item.data() + item.size(), value);
        if (error != std::errc() || end != item.data() + item.size() || value < least)
            throw UsageError(option + ": '" + item + "' is no whole number from " + std::to_string(least) +
                             " on");
        values.push_back(value);
    }
    return values;
}

template <class Items, class ToText>
std::string join(const Items& items, ToText to_text) {
    std::string text;
    for (const auto& item : items) text += (text.empty() ? "" : ",") + to_text(item);
    return text;
}

std::string number_text(double value) {
    char text[40];
    return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

AverageKind parse_averages(const std::string& text) {
    for (const AverageKind kind : {AverageKind::pooled, AverageKind::first})
        if (text == to_string(kind)) return kind;
    throw UsageError("running-averages: '" + text + "' is no choice; there are pooled and first");
}

std::optional<double> positive(const po::variables_map& values, const char* name) {
    if (!values.count(name)) return std::nullopt;
    const double value = values[name].as<double>();
    if (!(value > 0)) throw UsageError(std::string(name) + " must be positive");
    return value;
}

}  // namespace

po::options_description study_options() {
    po::options_description group("Study");
    auto add = group.add_options();
    add("modes", po::value<std::string>()->default_value("local,group:4,sync"),
        "what to compare: local, sync, group:K");
    add("batch-sizes", po::value<std::string>()->default_value("2,4,8,16,32"),
        "samples per replica and step; the number of replicas follows");
    add("seeds", po::value<std::string>()->default_value("1,2,3"), "one run with each");
    add("global-batch", po::value<Index>()->default_value(64), "samples per step over all replicas");
    add("running-averages", po::value<std::string>()->default_value("pooled"),
        "behind the test errors: pooled over all replicas, or only the first replica's; the report shows "
        "both");
    add("predict", po::value<std::string>(),
        "numbers of ranks, such as 2,4,8,4096, at which to predict the time of a step");
    add("latency", po::value<double>(), "of the network, in seconds (default: measured between the ranks)");
    add("bandwidth", po::value<double>(),
        "of the network, in bytes per second (default: measured between the ranks)");
    return group;
}

StudyOptions to_study_options(const po::variables_map& values) {
    const auto text = [&](const char* name) { return values[name].as<std::string>(); };
    StudyOptions study;
    study.run = to_run_options(values);
    for (const std::string& mode : split("modes", text("modes")))
        study.modes.push_back(BatchNormMode::parse(mode));
    study.batch_sizes = numbers<Index>("batch-sizes", text("batch-sizes"), 1);
    std::ranges::sort(study.batch_sizes);
    study.seeds = numbers<std::uint64_t>("seeds", text("seeds"), 0);
    study.global_batch = values["global-batch"].as<Index>();
    for (const Index size : study.batch_sizes)
        if (study.global_batch < size || study.global_batch % size != 0)
            throw UsageError("batch-sizes: " + std::to_string(size) +
                             " does not divide the global batch of " + std::to_string(study.global_batch) +
                             "; see --global-batch");
    study.averages = parse_averages(text("running-averages"));
    if (values.count("predict")) study.predicted_ranks = numbers<int>("predict", text("predict"), 2);
    study.latency_seconds = positive(values, "latency");
    study.bandwidth_bytes_per_second = positive(values, "bandwidth");
    return study;
}

Settings resolved_settings(const StudyOptions& study) {
    Settings all = {{"modes", join(study.modes, [](const BatchNormMode& mode) { return mode.to_string(); })},
                    {"batch-sizes", join(study.batch_sizes, [](Index size) { return std::to_string(size); })},
                    {"seeds", join(study.seeds, [](std::uint64_t seed) { return std::to_string(seed); })},
                    {"global-batch", std::to_string(study.global_batch)},
                    {"running-averages", to_string(study.averages)}};
    if (!study.predicted_ranks.empty())
        all.emplace_back("predict",
                         join(study.predicted_ranks, [](int ranks) { return std::to_string(ranks); }));
    if (study.latency_seconds) all.emplace_back("latency", number_text(*study.latency_seconds));
    if (study.bandwidth_bytes_per_second)
        all.emplace_back("bandwidth", number_text(*study.bandwidth_bytes_per_second));
    // The combinations differ in these, and leave no checkpoints.
    const std::set<std::string> own = {"bn", "batch-size", "replicas", "seed", "checkpoint-every"};
    for (auto& setting : resolved_settings(study.run))
        if (!own.contains(setting.first)) all.push_back(std::move(setting));
    return all;
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
