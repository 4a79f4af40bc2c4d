#include <lockstep/train/score.hpp>

#include <lockstep/base/error.hpp>

#include <cmath>
#include <limits>
#include <string>

namespace lockstep {
namespace {

/// The parts of one sample's score, added to those of others.
template <class Scalar>
void add_parts(Task task, const Scalar* outputs, Index scored, const double* target,
               std::array<double, 3>& parts) {
    switch (task) {
        case Task::classification:
            if (static_cast<double>(predicted_class(std::span(outputs, static_cast<std::size_t>(scored)))) ==
                *target)
                ++parts[0];
            break;
        case Task::regression: {
            double squares = 0;
            for (Index j = 0; j < scored; ++j) {
                const double error = static_cast<double>(outputs[j]) - target[j];
                squares += error * error;
            }
            if (scored > 0) parts[0] += squares / static_cast<double>(scored);
            break;
        }
        case Task::labels:
            for (Index j = 0; j < scored; ++j) {
                const bool on = outputs[j] > 0, should_be = target[j] >= 0.5;
                if (on && should_be) ++parts[0];
                if (on && !should_be) ++parts[1];
                if (!on && should_be) ++parts[2];
            }
            break;
    }
}

}  // namespace

Task task_of(const Target& target, const LossFunction& loss) {
    if (target.classes > 0) return Task::classification;
    return loss.labels() ? Task::labels : Task::regression;
}

std::string_view score_name(Task task) {
    switch (task) {
        case Task::classification:
            return "accuracy";
        case Task::regression:
            return "rmse";
        case Task::labels:
            return "f1";
    }
    return "";
}

Index scored_outputs(const Target& target) {
    return target.classes > 0 ? target.classes : target.values;
}

void check_outputs(const LossFunction& loss, const Target& target, Index outputs) {
    loss.check(target, outputs);
    if (outputs < scored_outputs(target))
        throw UsageError("the model ends in " + std::to_string(outputs) +
                         (outputs == 1 ? " output" : " outputs") + ", but the data are " +
                         target.to_string() +
                         ", and each of these is scored by an output: end it with 'linear " +
                         std::to_string(scored_outputs(target)) + "', or more where the loss '" +
                         loss.text() + "' takes more");
}

ScoreSums& ScoreSums::operator+=(const ScoreSums& other) {
    samples += other.samples;
    for (std::size_t i = 0; i < parts.size(); ++i) parts[i] += other.parts[i];
    return *this;
}

template <class Scalar>
ScoreSums score_sums(Task task, const Target& target, const Tensor<const Scalar>& outputs,
                     std::span<const double> targets) {
    ScoreSums sums{.samples = static_cast<double>(outputs.batch)};
    for (Index i = 0; i < outputs.batch; ++i)
        add_parts(task, outputs.data + i * outputs.shape.size(), scored_outputs(target),
                  targets.data() + i * target.size(), sums.parts);
    return sums;
}

double score(Task task, const ScoreSums& sums) {
    if (sums.samples == 0) return std::numeric_limits<double>::quiet_NaN();
    const auto& parts = sums.parts;
    switch (task) {
        case Task::classification:
            return parts[0] / sums.samples;
        case Task::regression:
            return std::sqrt(parts[0] / sums.samples);
        case Task::labels: {
            const double all = 2 * parts[0] + parts[1] + parts[2];
            return all == 0 ? 1 : 2 * parts[0] / all;  // nothing to find, and nothing found
        }
    }
    return std::numeric_limits<double>::quiet_NaN();
}

template LOCKSTEP_EXPORT ScoreSums score_sums(Task, const Target&, const Tensor<const float>&,
                                              std::span<const double>);
template LOCKSTEP_EXPORT ScoreSums score_sums(Task, const Target&, const Tensor<const double>&,
                                              std::span<const double>);

}  // namespace lockstep
