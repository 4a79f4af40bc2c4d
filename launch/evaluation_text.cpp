#include "evaluation_text.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <vector>

namespace lockstep::launch {
namespace {

std::string formatted(const char* format, double value) {
    char text[64];
    std::snprintf(text, sizeof text, format, value);
    return text;
}

constexpr int widest_table = 13;  // classes: what 100 columns hold

Index count_of(const Evaluation& result, int row, int column) {
    return result.confusion[static_cast<std::size_t>(row * result.classes + column)];
}

Index samples_of(const Evaluation& result, int row) {
    const auto begin = result.confusion.begin() + static_cast<std::ptrdiff_t>(row) * result.classes;
    return std::accumulate(begin, begin + result.classes, Index{0});
}

/// "  97.31 %", or a dash where there is no sample.
std::string share_correct(const Evaluation& result, int row) {
    const Index total = samples_of(result, row);
    if (total == 0) return "       - ";
    char text[16];
    std::snprintf(text, sizeof text, "%7.2f %%",
                  100.0 * static_cast<double>(count_of(result, row, row)) / static_cast<double>(total));
    return text;
}

std::string number(Index value, int width) {
    const std::string text = std::to_string(value);
    return std::string(std::max(text.size(), static_cast<std::size_t>(width)) - text.size(), ' ') + text;
}

std::string table(const Evaluation& result) {
    // Wide enough for the largest count, with a space before it.
    const Index largest = *std::ranges::max_element(result.confusion);
    const int width = std::max(6, static_cast<int>(std::to_string(largest).size()) + 1);
    std::string text = "\n  rows: class of the sample; columns: class it was taken for\n\n  class ";
    for (int k = 0; k < result.classes; ++k) text += number(k, width);
    text += "   correct\n";
    for (int row = 0; row < result.classes; ++row) {
        text += "  " + number(row, 5) + " ";
        for (int k = 0; k < result.classes; ++k) text += number(count_of(result, row, k), width);
        text += " " + share_correct(result, row) + "\n";
    }
    return text;
}

/// "7 (12), 4 (3)": what a class was wrongly taken for, most often first.
std::string mistakes(const Evaluation& result, int row) {
    constexpr std::size_t shown = 5;
    std::vector<int> others;
    for (int k = 0; k < result.classes; ++k)
        if (k != row && count_of(result, row, k) > 0) others.push_back(k);
    std::ranges::stable_sort(
        others, [&](int a, int b) { return count_of(result, row, a) > count_of(result, row, b); });
    std::string text;
    for (std::size_t i = 0; i < std::min(shown, others.size()); ++i)
        text += (i > 0 ? ", " : "") + std::to_string(others[i]) + " (" +
                std::to_string(count_of(result, row, others[i])) + ")";
    if (others.size() > shown) text += " and " + std::to_string(others.size() - shown) + " more";
    return text;
}

std::string list(const Evaluation& result) {
    std::string text = "\n  class  samples    correct   taken for instead (how often)\n";
    int empty = 0;
    for (int row = 0; row < result.classes; ++row) {
        const Index total = samples_of(result, row);
        if (total == 0) {
            ++empty;
            continue;
        }
        text += "  " + number(row, 5) + "  " + number(total, 7) + "  " + share_correct(result, row) + "   " +
                mistakes(result, row);
        text.erase(text.find_last_not_of(' ') + 1);
        text += "\n";
    }
    if (empty > 0)
        text += "  (" + std::to_string(empty) + " of the classes have no sample in the test set)\n";
    return text;
}

std::string errors(const ValueErrors& errors) {
    return formatted("%11.5g", errors.rmse) + formatted("  %11.5g", errors.mae) +
           (std::isnan(errors.r2) ? "        -" : formatted("  %7.4f", errors.r2)) + "\n";
}

std::string value_lines(const Evaluation& result) {
    std::string text = "\n  value         RMSE          MAE       R2\n";
    for (std::size_t j = 0; result.values.size() > 1 && j < result.values.size(); ++j)
        text += "  " + number(static_cast<Index>(j), 5) + "  " + errors(result.values[j]);
    return text + "    all  " + errors(result.all);
}

std::string label_lines(const Evaluation& result) {
    std::string text = "\n  label       F1   precision      recall\n";
    const auto share = [](Index part, Index other) {
        return part + other == 0 ? "         - "
                                 : formatted("%9.2f %%", 100 * static_cast<double>(part) /
                                                             static_cast<double>(part + other));
    };
    for (std::size_t j = 0; j < result.labels.size(); ++j) {
        const LabelCounts& label = result.labels[j];
        text += "  " + number(static_cast<Index>(j), 5) + formatted("  %6.2f %%", 100 * label.f1()) + " " +
                share(label.true_positives, label.false_positives) + " " +
                share(label.true_positives, label.false_negatives) + "\n";
    }
    return text + "    all" + formatted("  %6.2f %%\n", 100 * result.score);
}

}  // namespace

std::string evaluation_text(const Evaluation& evaluation) {
    switch (evaluation.task) {
        case Task::regression:
            return value_lines(evaluation);
        case Task::labels:
            return label_lines(evaluation);
        case Task::classification:
            break;
    }
    std::string text = "  accuracy  " + formatted("%.2f %%\n", 100 * evaluation.score);
    if (evaluation.classes > 5) text += "  top-5     " + formatted("%.2f %%\n", 100 * evaluation.top5);
    if (evaluation.confusion.empty()) return text;
    return text + (evaluation.classes <= widest_table ? table(evaluation) : list(evaluation));
}

}  // namespace lockstep::launch
