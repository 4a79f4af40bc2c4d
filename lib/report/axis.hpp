/// From values to positions, and where the ticks go.
#pragma once

#include <lockstep/report/plot.hpp>

#include <string>
#include <vector>

namespace lockstep {

/// One axis, laid over `length` units of the drawing.
class Axis {
  public:
    /// The range covers low … high and, where they are given, the axis's own ticks.
    Axis(const PlotAxis& plan, double low, double high, double length, int most_ticks);

    /// 0 … length for values in range; NaN where a logarithmic axis has no place for the value.
    double position(double value) const;
    const std::vector<double>& ticks() const { return ticks_; }

  private:
    void choose_linear_ticks(int most);
    void choose_logarithmic_ticks(int most);
    double scaled(double value) const;

    bool logarithmic_;
    double low_, high_, length_;
    std::vector<double> ticks_;
};

/// "0.25", "1500", "10⁻⁵" as 1e-05: what stands at a tick.
std::string tick_text(double value);

}  // namespace lockstep
