/// How well a network does at its task, in one number that people know: the share of right answers, the root of the
/// mean squared error, or the F1 of labels.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/base/target.hpp>
#include <lockstep/nn/loss.hpp>
#include <lockstep/nn/tensor.hpp>

#include <array>
#include <span>
#include <string_view>

namespace lockstep {

enum class Task {
    classification,  ///< one of n classes; scored by accuracy, 0 … 1
    regression,      ///< values; scored by RMSE, over all values of all samples
    labels,  ///< labels, each on or off; scored by F1 = 2·TP/(2·TP + FP + FN) over all labels, 0 … 1
};

LOCKSTEP_EXPORT Task task_of(const Target& target, const LossFunction& loss);
/// "accuracy", "rmse" or "f1": as in metrics.jsonl.
LOCKSTEP_EXPORT std::string_view score_name(Task task);
inline bool higher_is_better(Task task) {
    return task != Task::regression;
}

/// How many outputs are scored: one for each class or value. A loss of one's own may ask for more of them, which
/// stand behind these: a deviation, say.
LOCKSTEP_EXPORT Index scored_outputs(const Target& target);
/// Throws UsageError where the loss does not fit the target or the number of outputs, or these are fewer than are scored.
LOCKSTEP_EXPORT void check_outputs(const LossFunction& loss, const Target& target, Index outputs);

/// Sums over samples from which a score is made; they add up.
struct LOCKSTEP_EXPORT ScoreSums {
    double samples = 0;
    /// classification: right answers; regression: the mean squared error of each sample; labels: true positives, false
    /// positives, false negatives.
    std::array<double, 3> parts{};

    ScoreSums& operator+=(const ScoreSums& other);
};

/// Of a batch; `targets` holds target.size() numbers for each sample. Of more outputs than scored_outputs the first
/// count. A label is on above 0 (the outputs are logits), and should be from a half on.
template <class Scalar>
LOCKSTEP_EXPORT ScoreSums score_sums(Task task, const Target& target, const Tensor<const Scalar>& outputs,
                                     std::span<const double> targets);

/// NaN where there is no sample.
LOCKSTEP_EXPORT double score(Task task, const ScoreSums& sums);

}  // namespace lockstep
