/// The elements that figures are made of. Positions are in units of the drawing, y downwards.
#pragma once

#include <string>
#include <string_view>

namespace lockstep {

enum class TextAnchor { start, middle, end };

/// A coordinate, with as many decimals as can be seen.
std::string coordinate(double value);

class SvgWriter {
  public:
    SvgWriter(double width, double height, std::string_view title);

    void text(double x, double y, std::string_view words, TextAnchor anchor, bool muted = true,
              int size = 12);
    /// Reads from below to above.
    void upward_text(double x, double y, std::string_view words);
    void grid_line(double x1, double y1, double x2, double y2);
    void axis_line(double x1, double y1, double x2, double y2);
    /// `path` in the syntax of the d attribute.
    void line(std::string_view path, int color, std::string_view dashes = {});
    void reference_line(std::string_view path);
    void band(std::string_view path, int color);
    void error_bar(double x, double low, double high, int color);
    /// Shapes differ with the color, for print in black and white. An empty `value` is not shown on hover.
    void marker(double x, double y, int color, std::string_view value);
    /// Nothing to see, but a value on hover.
    void hover_spot(double x, double y, std::string_view value);
    void bar(double x, double y, double width, double height, int color, std::string_view value);

    /// The whole document.
    std::string finish();

  private:
    std::string out_;
};

}  // namespace lockstep
