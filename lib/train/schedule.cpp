#include <lockstep/train/schedule.hpp>

#include <lockstep/base/error.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

namespace lockstep {
namespace {

/// Written so that a NaN fails too.
void require(bool holds, std::string_view what) {
    if (!holds) throw UsageError(std::string(what));
}

void validate(const ScheduleOptions& options) {
    require(options.epochs >= 0, "epochs must not be negative");
    require(options.learning_rate >= 0 && std::isfinite(options.learning_rate),
            "learning-rate must be finite and not negative");
    require(options.warmup_epochs >= 0 && options.warmup_epochs <= static_cast<double>(options.epochs),
            "warmup-epochs must lie between 0 and epochs: shorten the warm-up, or train longer");
    require(options.warmup_start_factor >= 0 && options.warmup_start_factor <= 1,
            "the start factor of the warm-up must lie in [0, 1]");
    require(options.step_factor > 0 && options.step_factor <= 1,
            "the factor of the step schedule must lie in (0, 1]");
}

}  // namespace

std::string_view to_string(ScheduleKind kind) {
    switch (kind) {
        case ScheduleKind::cosine:
            return "cosine";
        case ScheduleKind::step:
            return "step";
        case ScheduleKind::constant:
            break;
    }
    return "constant";
}

ScheduleKind parse_schedule_kind(std::string_view name) {
    for (const ScheduleKind kind : {ScheduleKind::constant, ScheduleKind::cosine, ScheduleKind::step}) {
        if (name == to_string(kind)) return kind;
    }
    throw UsageError("unknown schedule '" + std::string(name) + "': choose constant, cosine or step");
}

Schedule::Schedule(const ScheduleOptions& options) : options_(options) {
    validate(options_);
    const auto epochs = static_cast<double>(options_.epochs);
    drops_ = options_.step_epochs.value_or(std::vector<double>{0.5 * epochs, 0.75 * epochs});
    require(std::all_of(drops_.begin(), drops_.end(), [](double epoch) { return epoch >= 0; }) &&
                std::is_sorted(drops_.begin(), drops_.end()),
            "the epochs at which the step schedule drops must be ascending and not negative");
}

double Schedule::learning_rate_at(double position) const {
    return options_.learning_rate * warmup_at(position) * shape_at(position);
}

double Schedule::warmup_at(double position) const {
    if (position >= options_.warmup_epochs) return 1;
    const double start = options_.warmup_start_factor;
    return start + (1 - start) * position / options_.warmup_epochs;
}

double Schedule::shape_at(double position) const {
    switch (options_.kind) {
        case ScheduleKind::constant:
            return 1;
        case ScheduleKind::step: {
            const auto passed = std::upper_bound(drops_.begin(), drops_.end(), position) - drops_.begin();
            return std::pow(options_.step_factor, static_cast<double>(passed));
        }
        case ScheduleKind::cosine:
            break;
    }
    const double warmup = options_.warmup_epochs, epochs = static_cast<double>(options_.epochs);
    if (position < warmup) return 1;
    if (position >= epochs) return 0;
    return 0.5 * (1 + std::cos(std::numbers::pi * (position - warmup) / (epochs - warmup)));
}

}  // namespace lockstep
