#include <lockstep/report/html_report.hpp>

#include "page_parts.hpp"
#include "text.hpp"

#include <lockstep/report/markup.hpp>
#include <lockstep/report/summary.hpp>

#include <cmath>

namespace lockstep {
namespace {

/// Builds the page from top to bottom. All words pass through escape_markup.
class PageWriter {
  public:
    PageWriter(const Study& study, std::span<const Figure> figures) : study_(study), figures_(figures) {}

    std::string write() {
        begin();
        write_findings();
        write_error_table();
        for (const Figure& figure : figures_)
            if (figure.name != "prediction") write_figure(figure);
        write_prediction();
        write_missing();
        write_setup();
        out_ += "<div id=\"tip\" role=\"status\"></div>\n</main>\n<script>" + std::string(page_script) +
                "</script>\n</body>\n</html>\n";
        return std::move(out_);
    }

  private:
    static std::string escape(std::string_view text) { return escape_markup(text); }

    std::string setting(const std::string& name) const {
        for (const auto& [key, value] : study_.settings)
            if (key == name) return value;
        return "";
    }

    /// Its name, or the files of arrays.
    std::string data() const { return setting("dataset").empty() ? setting("data") : setting("dataset"); }

    void begin() {
        const std::string title = "Synchronized against local batch normalization: " + data();
        out_ =
            "<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\">\n<head>\n"
            "<meta charset=\"utf-8\"/>\n<meta name=\"viewport\" content=\"width=device-width, "
            "initial-scale=1\"/>\n"
            // The browser itself sees to it that nothing is fetched.
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
            "'unsafe-inline'; script-src 'unsafe-inline'\"/>\n<title>" +
            escape(title) + "</title>\n<style>" + page_style +
            "</style>\n</head>\n<body>\n<main>\n<h1>Do I need synchronized batch normalization for my "
            "batch size?</h1>\n<p class=\"lead\">" +
            escape(setting("model")) + "; data set " + escape(data()) + "; global batch of " +
            std::to_string(study_.global_batch) + " samples, " + escape(setting("epochs")) + " epochs, " +
            std::to_string(study_.seeds.size()) + (study_.seeds.size() == 1 ? " seed" : " seeds") +
            ". Every run starts from the same weights and sees the same samples in the same order; what "
            "differs is over how many of them batch normalization takes its statistics.</p>\n";
    }

    void write_findings() {
        out_ += "<h2>What the data show</h2>\n<ul class=\"findings\">\n";
        for (const std::string& sentence : findings(study_)) out_ += "<li>" + escape(sentence) + "</li>\n";
        out_ += "</ul>\n";
    }

    void write_error_table() {
        const ErrorMeasure measure = error_measure(study_);
        out_ += "<h2>" + escape(capitalized(measure.name)) + "</h2>\n<p>" +
                (measure.unit.empty() ? "Mean" : "In" + measure.unit + ", mean") +
                " ± standard deviation over the seeds; small, what is above "
                "sync.</p>\n<div class=\"wide\"><table>\n<tr><th>samples per replica</th><th>replicas</th>";
        for (const std::string& mode : study_.modes) out_ += "<th>" + escape(mode) + "</th>";
        out_ += "</tr>\n";
        for (const Index size : study_.batch_sizes) {
            out_ += "<tr><td>" + std::to_string(size) + "</td><td>" +
                    std::to_string(study_.global_batch / size) + "</td>";
            for (const std::string& mode : study_.modes) {
                out_ += "<td>" + escape(with_deviation(test_error(study_, mode, size), measure.decimals));
                const double gap = gap_to_sync(study_, mode, size);
                if (mode != "sync" && !std::isnan(gap))
                    out_ += "<small>" + std::string(gap >= 0 ? "+" : "") + measure.number(gap) + "</small>";
                out_ += "</td>";
            }
            out_ += "</tr>\n";
        }
        out_ += "</table></div>\n";
    }

    void write_figure(const Figure& figure) {
        out_ += "<figure id=\"" + escape(figure.name) + "\"" +
                (figure.panels.size() == 1 ? " class=\"single\"" : "") + ">\n" + to_svg(figure) +
                "<figcaption><b>" + escape(figure.title) + ".</b> " + escape(figure.caption) +
                "</figcaption>\n</figure>\n";
    }

    static std::string link_text(const LinkModel& link) {
        return escape(duration(link.latency_seconds)) + " and " +
               significant(link.bandwidth_bytes_per_second / 1e9, 3) + " GB/s" +
               (link.measured ? " (measured between the ranks of this study)" : "");
    }
    static std::string cluster_text(const ClusterModel& cluster) {
        if (cluster.ranks_per_node == 1)
            return "Each rank is a node of its own; α and B are " + link_text(cluster.between) + ".";
        return std::to_string(cluster.ranks_per_node) + " ranks a node; α and B are " +
               link_text(cluster.between) + ", α′ and B′ " + link_text(cluster.within) + ".";
    }

    void write_prediction() {
        if (!study_.prediction) return;
        const Prediction& prediction = *study_.prediction;
        const ClusterModel& cluster = prediction.cluster;
        out_ += "<h2>What synchronizing would cost on a cluster</h2>\n<p>" + cluster_text(cluster) +
                "</p>\n<p>Between nodes a message of n bytes takes α + n/B; the messages that a rank sends "
                "leave one after "
                "the other, and the ranks of a node share B. Within a node what a rank writes is there after "
                "α′, and is "
                "read at B′. Nothing is taken to overlap; on the other hand the model leaves out that ranks "
                "wait for the "
                "slowest, and what starting an exchange costs. There are N nodes of k ranks, P in all, G are "
                "the bytes of "
                "the gradients, c the channels of a layer, and each statistics message carries a label of 64 "
                "bytes:</p>\n<div class=\"formula\">"
                "as built                     S(n) = α′ + (k − 1)·n/B′ + Σ (m − 1)·(α + n/B) + α′ + n/B′\n"
                "                             T(G) = 2·α′ + (1 + 1/k)·G/B′ + Σ (α + k·bytes/B)\n"
                "each rank by itself          S(n) = Σ (m − 1)·(α + n/B)\n"
                "                             T(n) = 2·(P − 1)·(α + n/(P·B))\n"
                "reduce-scatter + all-gather  S(n) = T(n) = 2·(P − 1)·(α + n/(P·B))\n\n"
                "step(local) = compute + T(G) + S(64 + 16 + Σ 8·(1 + 2c))\n"
                "step(sync)  = compute + T(G) + S(64 + 16) + Σ [S(64 + 8·(1 + 2c)) + S(64 + 16c)]</div>\n"
                "<p>“As built” is what Lockstep does: a node is one. One of its ranks exchanges statistics "
                "with those of "
                "other nodes, in stages of m ≤ 8; all of them exchange slices of the gradients in the "
                "messages of the "
                "library’s own plan, of which no rank has more than 4·⌈log₂ N⌉ + 4. “Each rank by itself” is "
                "how it was "
                "before nodes were known: stages among all ranks, gradients in buckets of 256 KiB. What "
                "needs no other "
                "node, or no other rank of the node, is left out where there is none. A batch norm with no "
                "layer before it "
                "has no backward exchange, the last term.</p>\n";
        for (const Figure& figure : figures_)
            if (figure.name == "prediction") write_figure(figure);
        write_prediction_rows(prediction);
        if (!prediction.checks.empty()) write_prediction_checks(prediction);
    }

    void write_prediction_rows(const Prediction& prediction) {
        out_ +=
            "<p>From how many ranks on sync would cost more than 5 % of a step:</p>\n"
            "<div class=\"wide\"><table>\n<tr><th>samples per replica</th><th>computing</th>";
        for (const PredictedForm form : predicted_forms) out_ += "<th>" + escape(to_string(form)) + "</th>";
        out_ += "</tr>\n";
        for (const ComputeTime& one : prediction.compute) {
            out_ += "<tr><td>" + std::to_string(one.batch_size) + "</td><td>" +
                    escape(duration(one.seconds)) + "</td>";
            for (const PredictedForm form : predicted_forms) {
                const auto ranks = prediction.first_above(one.batch_size, form, 0.05);
                out_ +=
                    "<td>" + (ranks ? std::to_string(*ranks) + " ranks" : std::string("nowhere")) + "</td>";
            }
            out_ += "</tr>\n";
        }
        out_ +=
            "</table></div>\n<details><summary>All predicted times</summary>\n<div class=\"wide\"><table>\n"
            "<tr><th>samples</th><th>ranks</th>";
        for (const PredictedForm form : predicted_forms)
            out_ += "<th>" + escape(to_string(form)) + ": local</th><th>sync</th><th>cost</th>";
        out_ += "</tr>\n";
        for (const PredictionRow& row : prediction.rows) {
            out_ += "<tr><td>" + std::to_string(row.batch_size) + "</td><td>" + std::to_string(row.ranks) +
                    "</td>";
            for (const PredictedStep& step : row.steps)
                out_ += "<td>" + escape(duration(step.local_seconds)) + "</td><td>" +
                        escape(duration(step.sync_seconds)) + "</td><td>" + fixed(100 * step.cost(), 1) +
                        " %</td>";
            out_ += "</tr>\n";
        }
        out_ += "</table></div></details>\n";
    }

    void write_prediction_checks(const Prediction& prediction) {
        out_ +=
            "<p>The model beside the clock, on the machine of this study, where more ranks than cores take "
            "turns, "
            "which the model does not know:</p>\n<div "
            "class=\"wide\"><table>\n<tr>"
            "<th>ranks</th><th>samples per replica</th><th>local, predicted</th><th>local, measured</th>"
            "<th>sync, predicted</th><th>sync, measured</th></tr>\n";
        for (const PredictionCheck& check : prediction.checks) {
            out_ += "<tr><td>" + std::to_string(check.ranks) + "</td><td>" +
                    std::to_string(check.batch_size) + "</td>";
            for (const double seconds : {check.predicted.local_seconds, check.measured.local_seconds,
                                         check.predicted.sync_seconds, check.measured.sync_seconds})
                out_ += "<td>" + escape(duration(seconds)) + "</td>";
            out_ += "</tr>\n";
        }
        out_ += "</table></div>\n";
    }

    void write_missing() {
        std::string rows;
        for (const Combination& one : study_.combinations)
            if (one.outcome != Outcome::finished)
                rows += "<tr><td class=\"words\">" + escape(one.to_string()) + "</td><td class=\"words\">" +
                        to_string(one.outcome) + "</td><td class=\"words\">" + escape(one.reason) +
                        "</td></tr>\n";
        if (rows.empty()) return;
        out_ +=
            "<h2>Combinations without a result</h2>\n<div class=\"wide\"><table>\n<tr><th "
            "class=\"words\">combination</th>"
            "<th class=\"words\"></th><th class=\"words\">why</th></tr>\n" +
            rows + "</table></div>\n";
    }

    void write_setup() {
        out_ += "<h2>Setup</h2>\n<p>Computed on " + escape(study_.machine) + " with " +
                std::to_string(study_.ranks) + (study_.ranks == 1 ? " rank" : " ranks") +
                ". Results other than times do not depend on the number of ranks. results.csv and "
                "results.json hold "
                "the numbers, figures/ the figures.</p>\n<details><summary>All settings</summary>\n<table>\n";
        for (const auto& [name, value] : study_.settings)
            out_ += "<tr><td class=\"words\">" + escape(name) + "</td><td class=\"words\">" + escape(value) +
                    "</td></tr>\n";
        out_ += "</table></details>\n";
    }

    const Study& study_;
    std::span<const Figure> figures_;
    std::string out_;
};

}  // namespace

std::string html_report(const Study& study, std::span<const Figure> figures) {
    return PageWriter(study, figures).write();
}

}  // namespace lockstep
