#include <lockstep/report/table.hpp>

#include "text.hpp"

#include <lockstep/report/summary.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace lockstep {
namespace {

constexpr std::size_t column_width = 26;

/// How many characters a terminal shows, of UTF-8 text.
std::size_t shown_width(std::string_view text) {
    return static_cast<std::size_t>(
        std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80; }));
}

std::string left(std::string text, std::size_t width) {
    const std::size_t shown = shown_width(text);
    if (shown < width) text.append(width - shown, ' ');
    return text;
}

std::string right(const std::string& text, std::size_t width) {
    const std::size_t shown = shown_width(text);
    return (shown < width ? std::string(width - shown, ' ') : "") + text;
}

void end_line(std::string& text) {
    text.erase(text.find_last_not_of(' ') + 1);
    text += '\n';
}

std::string cell(const Study& study, const std::string& mode, Index batch_size) {
    const Spread error = test_error(study, mode, batch_size);
    if (error.count == 0) return "–";
    const ErrorMeasure measure = error_measure(study);
    std::string text = right(with_deviation(error, measure.decimals), 14);
    const double gap = gap_to_sync(study, mode, batch_size);
    if (mode != "sync" && !std::isnan(gap))
        text += " (" + std::string(gap >= 0 ? "+" : "") + measure.number(gap) + ")";
    return text;
}

/// The shortest text that reads back as the same number; empty where it was not measured.
std::string exact(double value) {
    if (!std::isfinite(value)) return "";
    char text[40];
    return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

std::vector<std::string> csv_values(const Study& study, const Combination& one) {
    const auto error_of = [&](double score) { return higher_is_better(study.task) ? 1 - score : score; };
    const StudyEpoch last =
        one.outcome == Outcome::finished && !one.epochs.empty() ? one.epochs.back() : StudyEpoch{};
    return {one.mode,
            std::to_string(one.batch_size),
            std::to_string(one.replicas),
            std::to_string(one.seed),
            to_string(one.outcome),
            exact(error_of(last.score(study.averages))),
            exact(last.test_loss),
            exact(error_of(last.train_score)),
            exact(last.train_loss),
            exact(error_of(last.pooled_score)),
            exact(error_of(last.first_score)),
            exact(error_of(last.precise_score)),
            exact(error_of(last.batch_score)),
            exact(last.drift),
            one.fingerprint,
            one.reason,
            exact(one.compute_seconds),
            exact(one.communication_seconds),
            exact(one.seconds)};
}

constexpr const char* csv_head =
    "mode,samples_per_replica,replicas,seed,outcome,test_error,test_loss,train_error,train_loss,"
    "test_error_pooled_averages,test_error_first_averages,test_error_precise_bn,test_error_batch_statistics,"
    "drift_from_sync,fingerprint,reason,compute_seconds_per_step,communication_seconds_per_step,seconds\n";

std::string link_text(const LinkModel& link) {
    return duration(link.latency_seconds) + " and " + significant(link.bandwidth_bytes_per_second / 1e9, 3) +
           " GB/s" + (link.measured ? " (measured between the ranks at hand)" : "");
}

std::string check_lines(const Prediction& prediction) {
    std::string text =
        "\n  Predicted beside measured on this machine, time of a step (more ranks than cores take "
        "turns)\n\n  ranks  samples  "
        "local predicted  measured   sync predicted  measured\n";
    for (const PredictionCheck& check : prediction.checks) {
        text += "  " + right(std::to_string(check.ranks), 5) + right(std::to_string(check.batch_size), 9) +
                right(duration(check.predicted.local_seconds), 17) +
                right(duration(check.measured.local_seconds), 10) +
                right(duration(check.predicted.sync_seconds), 17) +
                right(duration(check.measured.sync_seconds), 10) + "\n";
    }
    return text;
}

}  // namespace

std::string results_table(const Study& study) {
    const ErrorMeasure measure = error_measure(study);
    std::string text = "\n  " + capitalized(measure.name) +
                       (measure.unit.empty() ? "" : " in" + measure.unit) + ", mean ± deviation over " +
                       std::to_string(study.seeds.size()) + (study.seeds.size() == 1 ? " seed" : " seeds") +
                       "; in brackets what is above sync\n\n  samples  replicas   ";
    for (const std::string& mode : study.modes) text += left(right(mode, 14), column_width);
    end_line(text);
    for (const Index size : study.batch_sizes) {
        text += "  " + right(std::to_string(size), 7) + right(std::to_string(study.global_batch / size), 10) +
                "   ";
        for (const std::string& mode : study.modes) text += left(cell(study, mode, size), column_width);
        end_line(text);
    }
    for (const Combination& one : study.combinations)
        if (one.outcome == Outcome::failed)
            text += "\n  failed: " + one.to_string() + ": " + one.reason + "\n";
    return text;
}

std::string prediction_table(const Study& study) {
    if (!study.prediction) return "";
    const Prediction& prediction = *study.prediction;
    const ClusterModel& cluster = prediction.cluster;
    std::string text =
        "\n  Predicted time of a step, one replica per rank, over a network of " + link_text(cluster.between);
    if (cluster.ranks_per_node > 1)
        text += ", with " + std::to_string(cluster.ranks_per_node) + " ranks a node, of " +
                link_text(cluster.within) + " within it";
    text += "\n\n  samples   ranks";
    for (const PredictedForm form : predicted_forms) text += "   " + left(std::string(to_string(form)), 30);
    end_line(text);
    text += "                  ";
    for (std::size_t i = 0; i < predicted_forms.size(); ++i)
        text += left("     local      sync     cost", 33);
    end_line(text);
    for (const PredictionRow& row : prediction.rows) {
        text += "  " + right(std::to_string(row.batch_size), 7) + right(std::to_string(row.ranks), 8) + " ";
        for (const PredictedStep& step : row.steps)
            text += left(right(duration(step.local_seconds), 10) + right(duration(step.sync_seconds), 10) +
                             right("+" + fixed(100 * step.cost(), 1) + " %", 10),
                         33);
        end_line(text);
    }
    if (!prediction.checks.empty()) text += check_lines(prediction);
    return text;
}

std::string csv_field(std::string_view text) {
    if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
    std::string quoted = "\"";
    for (const char c : text) {
        if (c == '"') quoted += '"';
        quoted += c;
    }
    return quoted + "\"";
}

std::string results_csv(const Study& study) {
    std::string text = csv_head;
    for (const Combination& one : study.combinations) {
        bool first = true;
        for (const std::string& value : csv_values(study, one)) {
            if (!first) text += ',';
            text += csv_field(value);
            first = false;
        }
        text += '\n';
    }
    return text;
}

}  // namespace lockstep
