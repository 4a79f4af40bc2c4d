/// From a study's combinations to what they show: means and deviations over the seeds, gaps, plain words.
///
/// All errors are of the test set after the last epoch: percentages of wrong answers (of 1 − F1, for labels), where gaps
/// are in points; or the RMSE of values.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/report/study.hpp>

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

/// How a study's errors are called and written.
struct LOCKSTEP_EXPORT ErrorMeasure {
    std::string name;        ///< "test error", "test RMSE"
    std::string score_name;  ///< "accuracy", "F1", "RMSE"
    std::string unit;        ///< " %", or nothing
    std::string gap;         ///< " points", or nothing
    int decimals = 2;
    Task task = Task::classification;

    /// From a score: see score.hpp.
    double error(double score) const;
    /// Error or gap, without the unit.
    std::string number(double value) const;
};

LOCKSTEP_EXPORT ErrorMeasure error_measure(const Study& study);

struct Spread {
    int count = 0;
    double mean = not_measured;
    double deviation = not_measured;  ///< of the sample, ÷ (count − 1); NaN for fewer than two values
};

/// Of the values that are not NaN.
LOCKSTEP_EXPORT Spread spread(std::span<const double> values);

/// The test error of a mode at a batch size, over the seeds; with the study's own averages or others.
LOCKSTEP_EXPORT Spread test_error(const Study& study, std::string_view mode, Index batch_size);
LOCKSTEP_EXPORT Spread test_error(const Study& study, std::string_view mode, Index batch_size,
                                  AverageKind averages);

/// How far a mode is above sync at a batch size; NaN where either is missing.
LOCKSTEP_EXPORT double gap_to_sync(const Study& study, std::string_view mode, Index batch_size);

/// How far the test error of sync varies from seed to seed: the root mean square, over the batch sizes, of
/// its deviations. Sync is the same computation at every batch size, so this is one number, and better known
/// than any single deviation of a few seeds. NaN with one seed.
LOCKSTEP_EXPORT double seed_deviation(const Study& study);

/// What a gap is measured against: √((s² + s_sync²)/2), the deviation over the seeds pooled from the mode's
/// at this batch size and seed_deviation. NaN with one seed.
LOCKSTEP_EXPORT double pooled_deviation(const Study& study, std::string_view mode, Index batch_size);

/// Where a mode stops costing more than one pooled_deviation.
struct CostThreshold {
    /// The smallest batch size from which on, up to the largest, the gap stays within one deviation; none
    /// where it does not even at the largest.
    std::optional<Index> harmless_from;
    Index smallest = 0, largest = 0;  ///< batch sizes at which both could be compared
};
/// Nothing where the study cannot tell: without sync, or with a single seed.
LOCKSTEP_EXPORT std::optional<CostThreshold> cost_threshold(const Study& study, std::string_view mode);

/// What the data show, as sentences in plain words.
LOCKSTEP_EXPORT std::vector<std::string> findings(const Study& study);

}  // namespace lockstep
