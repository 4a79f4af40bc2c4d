#include "axis.hpp"

#include "text.hpp"

#include <algorithm>
#include <cmath>

namespace lockstep {

Axis::Axis(const PlotAxis& plan, double low, double high, double length, int most_ticks)
    : logarithmic_(plan.scale == PlotScale::logarithmic),
      low_(low),
      high_(high),
      length_(length),
      ticks_(plan.ticks) {
    for (const double tick : ticks_) {
        low_ = std::min(low_, tick);
        high_ = std::max(high_, tick);
    }
    if (!(high_ > low_)) {  // one value, or none: room on both sides
        low_ = logarithmic_ ? low_ / 2 : low_ - 0.5;
        high_ = logarithmic_ ? high_ * 2 : high_ + 0.5;
    }
    if (!ticks_.empty()) return;
    if (logarithmic_)
        choose_logarithmic_ticks(most_ticks);
    else
        choose_linear_ticks(most_ticks);
}

void Axis::choose_linear_ticks(int most) {
    double step = std::pow(10, std::floor(std::log10((high_ - low_) / most)));
    for (const double factor : {2.0, 2.5, 2.0})  // 1, 2, 5, 10 times a power of ten
        if ((high_ - low_) / step > most) step *= factor;
    low_ = std::floor(low_ / step + 1e-9) * step;
    high_ = std::ceil(high_ / step - 1e-9) * step;
    const auto count = static_cast<int>(std::lround((high_ - low_) / step));
    for (int i = 0; i <= count; ++i) ticks_.push_back(low_ + i * step);
}

void Axis::choose_logarithmic_ticks(int most) {
    const std::vector<std::vector<double>> choices = {{1, 2, 5}, {1, 3}, {1}};
    for (const auto& digits : choices) {
        ticks_.clear();
        for (double decade = std::pow(10, std::floor(std::log10(low_))); decade <= high_; decade *= 10)
            for (const double digit : digits)
                if (digit * decade >= low_ * (1 - 1e-9) && digit * decade <= high_ * (1 + 1e-9))
                    ticks_.push_back(digit * decade);
        if (static_cast<int>(ticks_.size()) <= most) return;
    }
}

double Axis::scaled(double value) const {
    return logarithmic_ ? std::log(value) : value;
}

double Axis::position(double value) const {
    if (logarithmic_ && !(value > 0)) return std::nan("");
    return (scaled(value) - scaled(low_)) / (scaled(high_) - scaled(low_)) * length_;
}

std::string tick_text(double value) {
    return significant(std::abs(value) < 1e-12 ? 0.0 : value, 4);
}

}  // namespace lockstep
