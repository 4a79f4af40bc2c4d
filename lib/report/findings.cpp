#include "text.hpp"

#include <lockstep/report/summary.hpp>

#include <algorithm>
#include <cmath>
#include <map>

namespace lockstep {
namespace {

std::string samples(Index count) {
    return std::to_string(count) + (count == 1 ? " sample" : " samples");
}

std::vector<std::string> modes_beside_sync(const Study& study) {
    std::vector<std::string> modes = study.modes;
    std::erase(modes, "sync");
    return modes;
}

/// "38.9 points at 2 samples, 8.0 at 4 and 1.2 at 8"
std::string gaps_at(const Study& study, const std::string& mode, const std::vector<Index>& sizes) {
    const ErrorMeasure measure = error_measure(study);
    std::vector<std::string> parts;
    for (const Index size : sizes) {
        const double gap = gap_to_sync(study, mode, size);
        if (!std::isnan(gap)) parts.push_back(measure.number(gap) + " at " + std::to_string(size));
    }
    return enumeration(parts);
}

void describe_sync(const Study& study, std::vector<std::string>& out) {
    double lowest = INFINITY, highest = -INFINITY;
    for (const Index size : study.batch_sizes) {
        const double error = test_error(study, "sync", size).mean;
        if (std::isnan(error)) continue;
        lowest = std::min(lowest, error);
        highest = std::max(highest, error);
    }
    if (lowest > highest) return;
    const ErrorMeasure measure = error_measure(study);
    std::string text =
        "Synchronized batch normalization gives a " + measure.name + " of " + measure.number(lowest);
    if (measure.number(lowest) != measure.number(highest)) text += " to " + measure.number(highest);
    text += measure.unit;
    text += " (mean over the seeds), whatever the number of samples per replica.";
    const double deviation = seed_deviation(study);
    if (!std::isnan(deviation))
        text += " From seed to seed it varies by " + measure.number(deviation) + measure.gap +
                " (standard deviation).";
    out.push_back(text);
}

void describe_threshold(const Study& study, const std::string& mode, std::vector<std::string>& out) {
    const auto threshold = cost_threshold(study, mode);
    if (!threshold) {
        const std::string gaps = gaps_at(study, mode, study.batch_sizes);
        if (!gaps.empty())
            out.push_back(capitalized(mode) +
                          " lies above sync by this much, at so many samples per replica: " + gaps +
                          ". With one seed there is no telling how much of that is chance.");
        return;
    }
    std::vector<Index> costly, harmless;
    for (const Index size : study.batch_sizes)
        (threshold->harmless_from && size >= *threshold->harmless_from ? harmless : costly).push_back(size);
    if (!threshold->harmless_from) {
        out.push_back("At every batch size up to " + samples(threshold->largest) + " per replica, " + mode +
                      " costs more than one standard deviation over the seeds; above sync it is by " +
                      gaps_at(study, mode, costly) + ".");
    } else if (*threshold->harmless_from == threshold->smallest) {
        out.push_back("At no batch size from " + samples(threshold->smallest) + " per replica on does " +
                      mode + " cost more than one standard deviation over the seeds; above sync it is by " +
                      gaps_at(study, mode, harmless) + ".");
    } else {
        out.push_back("Below " + samples(*threshold->harmless_from) + " per replica, " + mode +
                      " costs more than one standard deviation over the seeds; above sync it is by " +
                      gaps_at(study, mode, costly) +
                      ". From there on it does not: " + gaps_at(study, mode, harmless) + ".");
    }
}

/// The mode and batch size at which local statistics hurt most: the first mode at its smallest batch.
struct Extreme {
    std::string mode;
    Index batch_size;
};

std::optional<Extreme> extreme_of(const Study& study) {
    for (const std::string& mode : modes_beside_sync(study)) {
        std::optional<Extreme> found;
        for (const Index size : study.batch_sizes)
            if (test_error(study, mode, size).count > 0 && (!found || size < found->batch_size))
                found = Extreme{mode, size};
        if (found) return found;
    }
    return std::nullopt;
}

void describe_averages(const Study& study, const Extreme& at, std::vector<std::string>& out) {
    const auto error = [&](AverageKind kind) { return test_error(study, at.mode, at.batch_size, kind).mean; };
    const ErrorMeasure measure = error_measure(study);
    const auto value = [&](double number) { return measure.number(number) + measure.unit; };
    const std::string where = at.mode + " at " + samples(at.batch_size) + " per replica";
    const double pooled = error(AverageKind::pooled), first = error(AverageKind::first),
                 precise = error(AverageKind::precise), batch = error(AverageKind::batch);
    if (!std::isnan(first) && at.mode != "sync")
        out.push_back("What pooling the running averages over all replicas is worth: with " + where +
                      " the " + measure.name + " is " + value(pooled) +
                      "; with the running averages of the first "
                      "replica alone, which is what other frameworks save, it is " +
                      value(first) + ".");
    if (!std::isnan(batch)) {
        std::string text = "Evaluated with the statistics of mini-batches as in training, " + where +
                           " has a " + measure.name + " of " + value(batch) + ", against " + value(pooled) +
                           " with running averages";
        if (!std::isnan(precise)) text += " and " + value(precise) + " with PreciseBN";
        out.push_back(text + ".");
    }
}

void describe_noise(const Study& study, const Extreme& at, std::vector<std::string>& out) {
    const Combination* one = nullptr;
    for (const std::uint64_t seed : study.seeds)
        if (!one) one = study.find(at.mode, at.batch_size, seed);
    if (!one || one->noise.empty()) return;
    const auto& mean = one->noise.back().mean;
    const auto& variance = one->noise.back().variance;
    if (mean.empty()) return;
    const auto [quietest, loudest] = std::ranges::minmax(mean);
    const auto [low, high] = std::ranges::minmax(variance);
    out.push_back("At the end of training a replica's mean over " + samples(at.batch_size) + " is off by " +
                  fixed(quietest, 2) + " to " + fixed(loudest, 2) +
                  " standard deviations of the channel, depending on the layer, and its variance by " +
                  fixed(100 * low, 0) + " to " + fixed(100 * high, 0) + " % (" + at.mode + ").");
}

void describe_drift(const Study& study, std::vector<std::string>& out) {
    for (const std::string& mode : modes_beside_sync(study)) {
        std::vector<std::string> parts;
        for (const Index size : study.batch_sizes) {
            std::vector<double> drifts;
            for (const std::uint64_t seed : study.seeds)
                if (const Combination* one = study.find(mode, size, seed))
                    drifts.push_back(one->epochs.back().drift);
            const Spread drift = spread(drifts);
            if (drift.count > 0)
                parts.push_back(fixed(drift.mean, drift.mean < 10 ? 2 : 0) + " at " + std::to_string(size));
        }
        if (!parts.empty())
            out.push_back("From the same initial weights and the same order of samples, the parameters of " +
                          mode +
                          " end at this distance from those of sync, in multiples of their length, by "
                          "samples per replica: " +
                          enumeration(parts) + ".");
    }
}

void describe_prediction(const Study& study, std::vector<std::string>& out) {
    if (!study.prediction) return;
    const Prediction& prediction = *study.prediction;
    std::map<int, std::vector<std::string>> sizes_by_ranks;
    std::vector<std::string> costly, cheap;
    for (const ComputeTime& one : prediction.compute) {
        const auto fewest = prediction.first_above(one.batch_size, PredictedForm::as_built, 0.05);
        (fewest ? sizes_by_ranks[*fewest] : cheap).push_back(std::to_string(one.batch_size));
    }
    for (const auto& [ranks, sizes] : sizes_by_ranks)
        costly.push_back("from " + std::to_string(ranks) + " ranks on at " + enumeration(sizes));
    const ClusterModel& cluster = prediction.cluster;
    std::string text =
        "On a network of " + duration(cluster.between.latency_seconds) + " and " +
        significant(cluster.between.bandwidth_bytes_per_second / 1e9, 3) + " GB/s" +
        (cluster.ranks_per_node > 1 ? " between nodes of " + std::to_string(cluster.ranks_per_node) + " ranks"
                                    : std::string()) +
        ", by the model below, sync would ";
    if (!costly.empty())
        text += "cost more than 5 % of a step " + enumeration(costly) + " samples per replica" +
                (cheap.empty() ? "." : "; it would ");
    if (!cheap.empty())
        text += "stay within 5 % at " + enumeration(cheap) +
                " samples per replica, at every number of ranks asked for.";
    out.push_back(text);
}

void describe_missing(const Study& study, std::vector<std::string>& out) {
    int failed = 0;
    for (const Combination& one : study.combinations) failed += one.outcome == Outcome::failed;
    if (failed > 0)
        out.push_back(std::to_string(failed) + (failed == 1 ? " combination has" : " combinations have") +
                      " failed and " + (failed == 1 ? "is" : "are") +
                      " not in the figures; the list at the end says why.");
}

}  // namespace

std::vector<std::string> findings(const Study& study) {
    std::vector<std::string> out;
    describe_sync(study, out);
    for (const std::string& mode : modes_beside_sync(study)) describe_threshold(study, mode, out);
    if (const auto extreme = extreme_of(study)) {
        describe_averages(study, *extreme, out);
        describe_noise(study, *extreme, out);
    }
    describe_drift(study, out);
    describe_prediction(study, out);
    describe_missing(study, out);
    return out;
}

}  // namespace lockstep
