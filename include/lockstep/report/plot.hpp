/// Figures as SVG: lines or stacked bars in one or several panels that share their axes.
///
/// Colors are plain attributes, so that every program that reads SVG shows them; a style sheet inside
/// replaces them where the reader prefers dark. Each value carries a <title>, which viewers show on hover.
#pragma once

#include <lockstep/base/export.hpp>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace lockstep {

struct PlotPoint {
    double x = 0;
    double y = 0;                                                 ///< a point that is not finite is not drawn
    double deviation = std::numeric_limits<double>::quiet_NaN();  ///< drawn where finite
};

enum class PlotStyle {
    marked,     ///< a line with a marker at each value, and error bars
    plain,      ///< a line alone, and a band
    dashed,     ///< a marked line, dashed
    reference,  ///< thin and gray: what theory says
};

struct PlotSeries {
    std::string name;
    /// 0 … 7: colors that tell kinds apart; 8 … 15: an ascending scale, see scale_color.
    int color = 0;
    PlotStyle style = PlotStyle::marked;
    std::vector<PlotPoint> points;
};

/// The color of step `index` of `count` on the ascending scale.
LOCKSTEP_EXPORT int scale_color(std::size_t index, std::size_t count);

struct PlotPanel {
    std::string title;  ///< may be empty
    std::vector<PlotSeries> series;
};

enum class PlotScale { linear, logarithmic };

struct PlotAxis {
    std::string label;
    PlotScale scale = PlotScale::linear;
    std::vector<double> ticks;  ///< where empty, round numbers
    std::string unit;           ///< behind values on hover: " %"
    bool from_zero = true;      ///< of a linear y axis
};

enum class PlotKind { lines, stacked_bars };

struct LOCKSTEP_EXPORT Figure {
    std::string name;     ///< of the file, and of the place in a page: "test-error"
    std::string title;    ///< plain text
    std::string caption;  ///< plain text
    PlotKind kind = PlotKind::lines;
    PlotAxis x, y;
    std::vector<PlotPanel> panels;

    /// Whether there is anything to draw.
    bool empty() const;
};

/// A complete SVG document, without XML declaration, that can also stand inside HTML.
LOCKSTEP_EXPORT std::string to_svg(const Figure& figure);

}  // namespace lockstep
