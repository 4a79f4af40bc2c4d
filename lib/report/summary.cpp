#include <lockstep/report/summary.hpp>

#include "text.hpp"

#include <algorithm>
#include <cmath>

namespace lockstep {

ErrorMeasure error_measure(const Study& study) {
    switch (study.task) {
        case Task::classification:
            return {"test error", "accuracy", " %", " points", 2, study.task};
        case Task::labels:
            return {"test error (1 - F1)", "F1", " %", " points", 2, study.task};
        case Task::regression:
            break;
    }
    // Three digits of the smallest error there is.
    ErrorMeasure measure{"test RMSE", "RMSE", "", "", 2, study.task};
    double smallest = not_measured;
    for (const Combination& one : study.combinations)
        if (one.outcome == Outcome::finished && !one.epochs.empty())
            smallest = std::fmin(smallest, one.epochs.back().score(study.averages));
    if (smallest > 0)
        measure.decimals = std::clamp(2 - static_cast<int>(std::floor(std::log10(smallest))), 0, 12);
    return measure;
}

double ErrorMeasure::error(double score) const {
    return higher_is_better(task) ? 100 * (1 - score) : score;
}

std::string ErrorMeasure::number(double value) const {
    return fixed(value, decimals);
}

Spread spread(std::span<const double> values) {
    Spread result;
    double sum = 0;
    for (const double value : values)
        if (!std::isnan(value)) sum += value, ++result.count;
    if (result.count == 0) return result;
    result.mean = sum / result.count;
    if (result.count == 1) return result;
    double squares = 0;
    for (const double value : values)
        if (!std::isnan(value)) squares += (value - result.mean) * (value - result.mean);
    result.deviation = std::sqrt(squares / (result.count - 1));
    return result;
}

Spread test_error(const Study& study, std::string_view mode, Index batch_size, AverageKind averages) {
    const ErrorMeasure measure = error_measure(study);
    std::vector<double> errors;
    for (const std::uint64_t seed : study.seeds)
        if (const Combination* one = study.find(mode, batch_size, seed))
            errors.push_back(measure.error(one->epochs.back().score(averages)));
    return spread(errors);
}

Spread test_error(const Study& study, std::string_view mode, Index batch_size) {
    return test_error(study, mode, batch_size, study.averages);
}

double gap_to_sync(const Study& study, std::string_view mode, Index batch_size) {
    return test_error(study, mode, batch_size).mean - test_error(study, "sync", batch_size).mean;
}

double seed_deviation(const Study& study) {
    double squares = 0;
    int count = 0;
    for (const Index batch_size : study.batch_sizes) {
        const double deviation = test_error(study, "sync", batch_size).deviation;
        if (std::isnan(deviation)) continue;
        squares += deviation * deviation;
        ++count;
    }
    return count > 0 ? std::sqrt(squares / count) : not_measured;
}

double pooled_deviation(const Study& study, std::string_view mode, Index batch_size) {
    const double own = test_error(study, mode, batch_size).deviation, sync = seed_deviation(study);
    return std::sqrt((own * own + sync * sync) / 2);
}

std::optional<CostThreshold> cost_threshold(const Study& study, std::string_view mode) {
    std::vector<Index> sizes;
    for (const Index size : study.batch_sizes)
        if (!std::isnan(gap_to_sync(study, mode, size) + pooled_deviation(study, mode, size)))
            sizes.push_back(size);
    if (sizes.empty()) return std::nullopt;
    std::ranges::sort(sizes);
    CostThreshold result{.harmless_from = {}, .smallest = sizes.front(), .largest = sizes.back()};
    for (auto size = sizes.rbegin(); size != sizes.rend(); ++size) {
        if (gap_to_sync(study, mode, *size) > pooled_deviation(study, mode, *size)) break;
        result.harmless_from = *size;
    }
    return result;
}

}  // namespace lockstep
