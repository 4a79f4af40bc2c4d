#include <lockstep/report/figures.hpp>

#include "text.hpp"

#include <lockstep/report/summary.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

namespace lockstep {
namespace {

constexpr const char* samples_label = "samples per replica";

/// sync and local keep their colors whatever else is in the study.
int mode_color(const Study& study, std::string_view mode) {
    if (mode == "sync") return 0;
    if (mode == "local") return 1;
    int color = 2;
    for (const std::string& other : study.modes) {
        if (other == mode) break;
        if (other != "sync" && other != "local") ++color;
    }
    return color;
}

std::string samples_title(Index batch_size) {
    return std::to_string(batch_size) + (batch_size == 1 ? " sample" : " samples");
}

PlotAxis samples_axis(const Study& study) {
    PlotAxis axis{.label = samples_label, .scale = PlotScale::logarithmic, .ticks = {}, .unit = ""};
    for (const Index size : study.batch_sizes) axis.ticks.push_back(static_cast<double>(size));
    std::ranges::sort(axis.ticks);
    return axis;
}

PlotAxis epochs_axis() {
    return {.label = "epochs", .scale = PlotScale::linear, .ticks = {}, .unit = ""};
}

/// Points that the seeds of a combination have in common, as mean and deviation by x.
using Curve = std::function<void(const Combination&, const std::function<void(double x, double y)>& add)>;

std::vector<PlotPoint> mean_curve(const Study& study, const std::string& mode, Index batch_size,
                                  const Curve& curve) {
    std::map<double, std::vector<double>> values;
    for (const std::uint64_t seed : study.seeds)
        if (const Combination* one = study.find(mode, batch_size, seed))
            curve(*one, [&](double x, double y) { values[x].push_back(y); });
    std::vector<PlotPoint> points;
    for (const auto& [x, ys] : values) {
        const Spread over_seeds = spread(ys);
        if (over_seeds.count > 0) points.push_back({x, over_seeds.mean, over_seeds.deviation});
    }
    return points;
}

/// One panel for each batch size, one line for each mode.
std::vector<PlotPanel> panels_by_size(const Study& study, PlotStyle style, const Curve& curve) {
    std::vector<PlotPanel> panels;
    for (const Index size : study.batch_sizes) {
        PlotPanel panel{.title = samples_title(size), .series = {}};
        for (const std::string& mode : study.modes) {
            auto points = mean_curve(study, mode, size, curve);
            if (!points.empty())
                panel.series.push_back({mode, mode_color(study, mode), style, std::move(points)});
        }
        panels.push_back(std::move(panel));
    }
    return panels;
}

PlotAxis error_axis(const ErrorMeasure& measure) {
    return {.label = measure.name + (measure.unit.empty() ? "" : "," + measure.unit),
            .scale = PlotScale::linear,
            .ticks = {},
            .unit = measure.unit};
}

Figure test_error_figure(const Study& study) {
    const ErrorMeasure measure = error_measure(study);
    Figure figure{.name = "test-error",
                  .title = capitalized(measure.name) + " against samples per replica",
                  .caption = capitalized(measure.name) +
                             " after the last epoch, mean and standard deviation over the seeds, against the "
                             "samples that each replica has in a step. The global batch is " +
                             std::to_string(study.global_batch) +
                             " throughout: only the number of values behind the statistics differs.",
                  .x = samples_axis(study),
                  .y = error_axis(measure),
                  .panels = {{}}};
    for (const std::string& mode : study.modes) {
        PlotSeries series{.name = mode, .color = mode_color(study, mode), .points = {}};
        for (const Index size : study.batch_sizes) {
            const Spread error = test_error(study, mode, size);
            series.points.push_back({static_cast<double>(size), error.mean, error.deviation});
        }
        figure.panels[0].series.push_back(std::move(series));
    }
    return figure;
}

Figure train_loss_figure(const Study& study) {
    return {.name = "train-loss",
            .title = "Training loss",
            .caption =
                "Training loss over the epochs by samples per replica, each point the mean of a few "
                "steps; the band is one standard deviation over the seeds.",
            .x = epochs_axis(),
            .y = {.label = "training loss", .scale = PlotScale::logarithmic, .ticks = {}, .unit = ""},
            .panels = panels_by_size(study, PlotStyle::plain, [](const Combination& one, const auto& add) {
                for (const LossPoint& point : one.losses) add(point.epoch, point.loss);
            })};
}

Figure test_score_figure(const Study& study) {
    const ErrorMeasure measure = error_measure(study);
    const double scale = higher_is_better(study.task) ? 100 : 1;
    return {.name = "test-" + std::string(score_name(study.task)),
            .title = "Test " + measure.score_name + " after each epoch",
            .caption = "Test " + measure.score_name +
                       " with running averages after each epoch, by samples per replica; mean and "
                       "standard deviation over the seeds.",
            .x = epochs_axis(),
            .y = {.label = "test " + measure.score_name + (measure.unit.empty() ? "" : "," + measure.unit),
                  .scale = PlotScale::linear,
                  .ticks = {},
                  .unit = measure.unit,
                  .from_zero = false},
            .panels = panels_by_size(study, PlotStyle::marked, [&](const Combination& one, const auto& add) {
                for (const StudyEpoch& epoch : one.epochs)
                    add(static_cast<double>(epoch.epoch), scale * epoch.score(study.averages));
            })};
}

/// The mode whose noise is shown: local if it is there, for then the noise is what training really sees.
std::string noise_mode(const Study& study) {
    const bool has_local = std::ranges::find(study.modes, "local") != study.modes.end();
    return has_local || study.modes.empty() ? "local" : study.modes.front();
}

Figure noise_figure(const Study& study, bool of_mean) {
    const std::string mode = noise_mode(study);
    Figure figure{
        .name = of_mean ? "mean-noise" : "variance-noise",
        .title = of_mean ? "Noise of the mini-batch means" : "Noise of the mini-batch variances",
        .caption =
            std::string(of_mean ? "How far the replicas' means lie from the mean of the global batch, in "
                                  "standard deviations of the channel"
                                : "How far the replicas' variances lie from the variance of the global "
                                  "batch, as a share of it") +
            " (root mean square over replicas and channels), by layer and samples per replica, in " +
            "training with " + mode + " statistics." +
            (of_mean ? " Dotted: 1/√n, which n independent samples would give." : ""),
        .x = epochs_axis(),
        .y = {.label = of_mean ? "deviation of the mean, σ" : "deviation of the variance, relative",
              .scale = PlotScale::logarithmic,
              .ticks = {},
              .unit = of_mean ? " σ" : ""},
        .panels = {}};
    for (std::size_t layer = 0; layer < study.layers.size(); ++layer) {
        PlotPanel panel{.title = study.layers[layer], .series = {}};
        for (std::size_t i = 0; i < study.batch_sizes.size(); ++i) {
            const Index size = study.batch_sizes[i];
            auto points = mean_curve(study, mode, size, [&](const Combination& one, const auto& add) {
                for (const NoisePoint& point : one.noise) {
                    const auto& noise = of_mean ? point.mean : point.variance;
                    if (layer < noise.size()) add(point.epoch, noise[layer]);
                }
            });
            if (points.empty()) continue;
            if (of_mean) {
                const double expected = 1 / std::sqrt(static_cast<double>(size));
                panel.series.push_back({"1/√n",
                                        7,
                                        PlotStyle::reference,
                                        {{points.front().x, expected}, {points.back().x, expected}}});
            }
            panel.series.push_back({samples_title(size), scale_color(i, study.batch_sizes.size()),
                                    PlotStyle::plain, std::move(points)});
        }
        figure.panels.push_back(std::move(panel));
    }
    return figure;
}

Figure evaluation_gap_figure(const Study& study) {
    struct Kind {
        AverageKind averages;
        const char* name;
        int color;
    };
    constexpr Kind kinds[] = {{AverageKind::batch, "mini-batch statistics (train mode)", 3},
                              {AverageKind::pooled, "running averages, pooled", 0},
                              {AverageKind::first, "running averages of the first replica", 1},
                              {AverageKind::precise, "PreciseBN", 2}};
    Figure figure{.name = "evaluation-gap",
                  .title = "Train mode against eval mode",
                  .caption =
                      "The same weights on the same test samples, with the statistics of mini-batches as in "
                      "training, with running averages (pooled over all replicas, or the first replica's "
                      "alone), and with the population's statistics under the final weights (PreciseBN).",
                  .x = samples_axis(study),
                  .y = error_axis(error_measure(study)),
                  .panels = {}};
    for (const std::string& mode : study.modes) {
        PlotPanel panel{.title = mode, .series = {}};
        for (const Kind& kind : kinds) {
            PlotSeries series{.name = kind.name, .color = kind.color, .points = {}};
            for (const Index size : study.batch_sizes) {
                const Spread error = test_error(study, mode, size, kind.averages);
                if (error.count > 0)
                    series.points.push_back({static_cast<double>(size), error.mean, error.deviation});
            }
            if (!series.points.empty()) panel.series.push_back(std::move(series));
        }
        figure.panels.push_back(std::move(panel));
    }
    return figure;
}

Figure drift_figure(const Study& study) {
    return {.name = "drift",
            .title = "Distance of the parameters from those of sync",
            .caption =
                "‖θ − θ(sync)‖ / ‖θ(sync)‖ over all parameters after each epoch, from the same initial "
                "weights, with the same order of samples and the same number of samples per replica.",
            .x = epochs_axis(),
            .y = {.label = "relative distance", .scale = PlotScale::logarithmic, .ticks = {}, .unit = ""},
            .panels = panels_by_size(study, PlotStyle::marked, [](const Combination& one, const auto& add) {
                if (one.mode == "sync") return;
                for (const StudyEpoch& epoch : one.epochs)
                    if (!std::isnan(epoch.drift)) add(static_cast<double>(epoch.epoch), epoch.drift);
            })};
}

Figure step_time_figure(const Study& study) {
    Figure figure{
        .name = "step-time",
        .title = "Time per step",
        .caption =
            "Time of a training step, median, split into computing and waiting for other ranks; mean "
            "over ranks and seeds. Here all replicas share " +
            std::to_string(study.ranks) + (study.ranks == 1 ? " rank" : " ranks") +
            ", so this is the price of the study, not of a cluster.",
        .kind = PlotKind::stacked_bars,
        .x = samples_axis(study),
        .y = {.label = "time per step, ms", .scale = PlotScale::linear, .ticks = {}, .unit = " ms"},
        .panels = {}};
    for (const std::string& mode : study.modes) {
        PlotPanel panel{.title = mode,
                        .series = {{.name = "computing", .color = 0, .points = {}},
                                   {.name = "communication", .color = 1, .points = {}}}};
        for (const Index size : study.batch_sizes) {
            std::vector<double> computing, communicating;
            for (const std::uint64_t seed : study.seeds)
                if (const Combination* one = study.find(mode, size, seed)) {
                    computing.push_back(1e3 * one->compute_seconds);
                    communicating.push_back(1e3 * one->communication_seconds);
                }
            const auto x = static_cast<double>(size);
            panel.series[0].points.push_back({x, spread(computing).mean});
            panel.series[1].points.push_back({x, spread(communicating).mean});
        }
        figure.panels.push_back(std::move(panel));
    }
    return figure;
}

Figure prediction_figure(const Study& study) {
    Figure figure{
        .name = "prediction",
        .title = "Predicted time per step on a cluster",
        .caption =
            "Computing time measured here plus the latency–bandwidth model, one replica on each rank. "
            "Solid: sync; dashed: local.",
        .x = {.label = "ranks", .scale = PlotScale::logarithmic, .ticks = {}, .unit = ""},
        .y = {.label = "time per step, ms", .scale = PlotScale::logarithmic, .ticks = {}, .unit = " ms"},
        .panels = {}};
    if (!study.prediction) return figure;
    constexpr int colors[] = {0, 1, 2};
    for (const ComputeTime& compute : study.prediction->compute) {
        PlotPanel panel{.title = samples_title(compute.batch_size), .series = {}};
        for (std::size_t form = 0; form < predicted_forms.size(); ++form) {
            const std::string name(to_string(predicted_forms[form]));
            PlotSeries sync{
                .name = name + ", sync", .color = colors[form], .style = PlotStyle::marked, .points = {}};
            PlotSeries local{
                .name = name + ", local", .color = colors[form], .style = PlotStyle::dashed, .points = {}};
            for (const PredictionRow& row : study.prediction->rows) {
                if (row.batch_size != compute.batch_size) continue;
                sync.points.push_back({static_cast<double>(row.ranks), 1e3 * row.steps[form].sync_seconds});
                local.points.push_back({static_cast<double>(row.ranks), 1e3 * row.steps[form].local_seconds});
            }
            panel.series.push_back(std::move(sync));
            panel.series.push_back(std::move(local));
        }
        figure.panels.push_back(std::move(panel));
    }
    return figure;
}

}  // namespace

std::vector<Figure> study_figures(const Study& study) {
    std::vector<Figure> figures = {
        test_error_figure(study),  train_loss_figure(study),   test_score_figure(study),
        noise_figure(study, true), noise_figure(study, false), evaluation_gap_figure(study),
        drift_figure(study),       step_time_figure(study),    prediction_figure(study)};
    std::erase_if(figures, [](const Figure& figure) { return figure.empty(); });
    return figures;
}

}  // namespace lockstep
