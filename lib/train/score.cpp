#include <lockstep/train/score.hpp>

#include <cmath>
#include <limits>

namespace lockstep {
namespace {

template <class Scalar>
double right_answers(const Tensor<const Scalar>& outputs, std::span<const double> targets) {
    double right = 0;
    for (Index i = 0; i < outputs.batch; ++i)
        right += predicted_class(outputs, i) == targets[static_cast<std::size_t>(i)] ? 1 : 0;
    return right;
}

template <class Scalar>
double squared_errors(const Tensor<const Scalar>& outputs, std::span<const double> targets) {
    const auto width = static_cast<std::size_t>(outputs.shape.size());
    double sum = 0;
    for (std::size_t i = 0; i < targets.size(); i += width) {
        double squares = 0;
        for (std::size_t j = i; j < i + width; ++j) {
            const double error = static_cast<double>(outputs.data[j]) - targets[j];
            squares += error * error;
        }
        sum += squares / static_cast<double>(width);
    }
    return sum;
}

template <class Scalar>
std::array<double, 3> label_counts(const Tensor<const Scalar>& outputs, std::span<const double> targets) {
    std::array<double, 3> counts{};
    for (std::size_t i = 0; i < targets.size(); ++i) {
        const bool on = outputs.data[i] > 0, should_be = targets[i] >= 0.5;
        if (on && should_be) ++counts[0];
        if (on && !should_be) ++counts[1];
        if (!on && should_be) ++counts[2];
    }
    return counts;
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

ScoreSums& ScoreSums::operator+=(const ScoreSums& other) {
    samples += other.samples;
    for (std::size_t i = 0; i < parts.size(); ++i) parts[i] += other.parts[i];
    return *this;
}

template <class Scalar>
ScoreSums score_sums(Task task, const Tensor<const Scalar>& outputs, std::span<const double> targets) {
    ScoreSums sums{.samples = static_cast<double>(outputs.batch)};
    switch (task) {
        case Task::classification:
            sums.parts[0] = right_answers(outputs, targets);
            break;
        case Task::regression:
            sums.parts[0] = squared_errors(outputs, targets);
            break;
        case Task::labels:
            sums.parts = label_counts(outputs, targets);
            break;
    }
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

template LOCKSTEP_EXPORT ScoreSums score_sums(Task, const Tensor<const float>&, std::span<const double>);
template LOCKSTEP_EXPORT ScoreSums score_sums(Task, const Tensor<const double>&, std::span<const double>);

}  // namespace lockstep
