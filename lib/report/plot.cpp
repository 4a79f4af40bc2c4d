#include <lockstep/report/plot.hpp>

#include "axis.hpp"
#include "svg.hpp"
#include "text.hpp"

#include <algorithm>
#include <cmath>

namespace lockstep {
namespace {

constexpr double page_width = 960;
constexpr double single_width = 760;
constexpr double left_margin = 66, right_margin = 14, bottom_margin = 48, legend_row = 24;
constexpr double panel_gap = 18, title_height = 22, tick_height = 22;
constexpr int most_columns = 5;

struct Range {
    double low = INFINITY, high = -INFINITY;
    void add(double value) {
        if (!std::isfinite(value)) return;
        low = std::min(low, value);
        high = std::max(high, value);
    }
};

bool drawable(const PlotPoint& point) {
    return std::isfinite(point.x) && std::isfinite(point.y);
}

double stacked_height(const PlotPanel& panel, double x) {
    double height = 0;
    for (const PlotSeries& series : panel.series)
        for (const PlotPoint& point : series.points)
            if (point.x == x && drawable(point)) height += point.y;
    return height;
}

/// Draws one figure: legend, then panels row by row.
class FigureWriter {
  public:
    explicit FigureWriter(const Figure& figure)
        : figure_(figure),
          panels_(static_cast<int>(figure.panels.size())),
          columns_(panels_ <= most_columns ? panels_ : 4),
          rows_((panels_ + columns_ - 1) / columns_),
          width_(panels_ == 1 ? single_width : page_width),
          panel_width_((width_ - left_margin - right_margin - (columns_ - 1) * panel_gap) / columns_),
          panel_height_(panels_ == 1    ? 320
                        : columns_ == 2 ? 240
                        : columns_ == 3 ? 210
                                        : 180),
          row_height_(title_height + panel_height_ + tick_height),
          legend_(place_legend()),
          legend_height_(legend_.empty() ? 6 : legend_.back().y + legend_row),
          x_range_(x_range()),
          y_range_(y_range()),
          // Bars need room on both sides of the first and the last.
          inset_(figure.kind == PlotKind::stacked_bars ? panel_width_ * 0.12 : panel_width_ * 0.04),
          x_(figure.x, x_range_.low, x_range_.high, panel_width_ - 2 * inset_, panels_ > 3 ? 4 : 8),
          y_(figure.y, y_range_.low, y_range_.high, panel_height_, panels_ == 1 ? 7 : 5),
          svg_(width_, legend_height_ + rows_ * row_height_ + bottom_margin - tick_height, figure.title) {}

    std::string write() {
        write_legend();
        for (int i = 0; i < panels_; ++i) write_panel(i);
        const double middle = left_margin + (width_ - left_margin - right_margin) / 2;
        svg_.text(middle, legend_height_ + rows_ * row_height_ + 18, figure_.x.label, TextAnchor::middle,
                  false, 13);
        svg_.upward_text(16, legend_height_ + rows_ * row_height_ / 2, figure_.y.label);
        return svg_.finish();
    }

  private:
    Range x_range() const {
        Range range;
        for (const PlotPanel& panel : figure_.panels)
            for (const PlotSeries& series : panel.series)
                for (const PlotPoint& point : series.points)
                    if (drawable(point)) range.add(point.x);
        return range;
    }

    Range y_range() const {
        Range range;
        const bool logarithmic = figure_.y.scale == PlotScale::logarithmic;
        if (!logarithmic && figure_.y.from_zero) range.add(0);
        for (const PlotPanel& panel : figure_.panels)
            for (const PlotSeries& series : panel.series)
                for (const PlotPoint& point : series.points) {
                    if (!drawable(point) || (logarithmic && point.y <= 0)) continue;
                    range.add(point.y);
                    if (std::isfinite(point.deviation)) range.add(point.y + point.deviation);
                    if (!logarithmic && !figure_.y.from_zero) range.add(point.y - point.deviation);
                    if (figure_.kind == PlotKind::stacked_bars) range.add(stacked_height(panel, point.x));
                }
        if (logarithmic) range.low *= 0.9, range.high *= 1.1;
        return range;
    }

    struct LegendEntry {
        const PlotSeries* series;
        double x, y;
    };

    /// Each name once, in the order of its first appearance, in as many rows as it takes.
    std::vector<LegendEntry> place_legend() const {
        std::vector<LegendEntry> entries;
        double x = left_margin, y = 6;
        for (const PlotPanel& panel : figure_.panels)
            for (const PlotSeries& series : panel.series) {
                if (std::ranges::any_of(
                        entries, [&](const LegendEntry& entry) { return entry.series->name == series.name; }))
                    continue;
                const double needed = 30 + 7.0 * static_cast<double>(series.name.size());
                if (x > left_margin && x + needed > width_ - right_margin) x = left_margin, y += legend_row;
                entries.push_back({&series, x, y});
                x += needed + 16;
            }
        return entries;
    }

    void write_legend() {
        for (const LegendEntry& entry : legend_) {
            write_legend_symbol(*entry.series, entry.x, entry.y);
            svg_.text(entry.x + 30, entry.y + 14, entry.series->name, TextAnchor::start, false, 13);
        }
    }

    void write_legend_symbol(const PlotSeries& series, double x, double y) {
        const std::string path = "M" + coordinate(x) + "," + coordinate(y + 9.5) + "h24";
        if (figure_.kind == PlotKind::stacked_bars)
            return svg_.bar(x + 6, y + 3, 14, 12, series.color, series.name);
        if (series.style == PlotStyle::reference) return svg_.reference_line(path);
        svg_.line(path, series.color, series.style == PlotStyle::dashed ? "6 4" : "");
        if (series.style != PlotStyle::plain) svg_.marker(x + 12, y + 9.5, series.color, "");
    }

    void write_panel(int index) {
        const PlotPanel& panel = figure_.panels[static_cast<std::size_t>(index)];
        const int column = index % columns_, row = index / columns_;
        left_ = left_margin + column * (panel_width_ + panel_gap);
        bottom_ = legend_height_ + row * row_height_ + title_height + panel_height_;
        svg_.text(left_ + panel_width_ / 2, bottom_ - panel_height_ - 8, panel.title, TextAnchor::middle,
                  false, 12);
        for (const double tick : y_.ticks()) {
            svg_.grid_line(left_, y_at(tick), left_ + panel_width_, y_at(tick));
            if (column == 0) svg_.text(left_ - 7, y_at(tick) + 4, tick_text(tick), TextAnchor::end);
        }
        for (const double tick : x_.ticks()) {
            svg_.axis_line(x_at(tick), bottom_, x_at(tick), bottom_ + 4);
            svg_.text(x_at(tick), bottom_ + 17, tick_text(tick), TextAnchor::middle);
        }
        svg_.axis_line(left_, bottom_, left_ + panel_width_, bottom_);
        if (figure_.kind == PlotKind::stacked_bars) return write_bars(panel);
        for (const PlotSeries& series : panel.series) write_series(series, panel.title);
    }

    void write_series(const PlotSeries& series, const std::string& panel_title) {
        std::string path, upper, lower;
        for (const PlotPoint& point : series.points) {
            if (!drawable(point) || std::isnan(y_.position(point.y))) continue;
            path += (path.empty() ? "M" : "L") + place(point.x, point.y);
            if (!std::isfinite(point.deviation)) continue;
            upper += (upper.empty() ? "M" : "L") + place(point.x, point.y + point.deviation);
            lower = "L" + place(point.x, lowest(point)) + lower;
        }
        if (path.empty()) return;
        if (series.style == PlotStyle::reference) return svg_.reference_line(path);
        if (series.style == PlotStyle::plain && !upper.empty()) svg_.band(upper + lower + "Z", series.color);
        svg_.line(path, series.color, series.style == PlotStyle::dashed ? "6 4" : "");
        for (const PlotPoint& point : series.points)
            if (drawable(point) && !std::isnan(y_.position(point.y))) write_point(series, point, panel_title);
    }

    void write_point(const PlotSeries& series, const PlotPoint& point, const std::string& panel_title) {
        const std::string value = hover_text(series, point, panel_title);
        const double x = x_at(point.x), y = y_at(point.y);
        if (series.style == PlotStyle::plain) return svg_.hover_spot(x, y, value);
        if (std::isfinite(point.deviation) && point.deviation > 0)
            svg_.error_bar(x, y_at(lowest(point)), y_at(point.y + point.deviation), series.color);
        svg_.marker(x, y, series.color, value);
    }

    void write_bars(const PlotPanel& panel) {
        const double bar_width =
            std::min(28.0, panel_width_ / (1.6 * static_cast<double>(x_.ticks().size())));
        for (const double x : x_.ticks()) {
            double base = 0;
            for (const PlotSeries& series : panel.series)
                for (const PlotPoint& point : series.points) {
                    if (point.x != x || !drawable(point)) continue;
                    svg_.bar(x_at(x) - bar_width / 2, y_at(base + point.y), bar_width,
                             y_at(base) - y_at(base + point.y), series.color,
                             hover_text(series, point, panel.title));
                    base += point.y;
                }
        }
    }

    std::string hover_text(const PlotSeries& series, const PlotPoint& point,
                           const std::string& panel_title) const {
        std::string text = series.name + (panel_title.empty() ? "" : ", " + panel_title) + "\n" +
                           figure_.x.label + ": " + significant(point.x, 4) + figure_.x.unit + "\n" +
                           significant(point.y, 4);
        if (std::isfinite(point.deviation)) text += " ± " + significant(point.deviation, 2);
        return text + figure_.y.unit;
    }

    /// The lower end of the deviation, as far as the axis reaches.
    double lowest(const PlotPoint& point) const {
        const double low = point.y - point.deviation;
        if (figure_.y.scale == PlotScale::logarithmic) return std::max(low, y_range_.low);
        return figure_.y.from_zero ? std::max(low, 0.0) : low;
    }

    double x_at(double value) const { return left_ + inset_ + x_.position(value); }
    double y_at(double value) const { return bottom_ - y_.position(value); }
    std::string place(double x, double y) const { return coordinate(x_at(x)) + "," + coordinate(y_at(y)); }

    const Figure& figure_;
    int panels_, columns_, rows_;
    double width_, panel_width_, panel_height_, row_height_;
    std::vector<LegendEntry> legend_;
    double legend_height_;
    Range x_range_, y_range_;
    double inset_;
    Axis x_, y_;
    SvgWriter svg_;
    double left_ = 0, bottom_ = 0;  // of the panel at hand
};

}  // namespace

int scale_color(std::size_t index, std::size_t count) {
    constexpr std::size_t first = 8, last = 15;
    if (count < 2) return static_cast<int>(first);
    return static_cast<int>(first + index * (last - first) / (count - 1));
}

bool Figure::empty() const {
    for (const PlotPanel& panel : panels)
        for (const PlotSeries& series : panel.series)
            if (series.style != PlotStyle::reference && std::ranges::any_of(series.points, drawable))
                return false;
    return true;
}

std::string to_svg(const Figure& figure) {
    return FigureWriter(figure).write();
}

}  // namespace lockstep
