/// The learning rate as a function of how far training has come.
///
/// The position p is counted in epochs, with fractions: p = epoch + step / steps_per_epoch, from 0 to E =
/// epochs. With the full rate η and w = warmup_epochs,
///
///     rate(p) = η · warm(p) · shape(p)
///     warm(p)  = s + (1 − s)·p/w  where p < w, else 1       s = warmup_start_factor
///     shape(p) = 1                                          constant
///                ½·(1 + cos(π·(p − w)/(E − w)))             cosine, for w ≤ p < E; 1 before, 0 from E on
///                f^(number of step_epochs ≤ p)              step, with f = step_factor
///
/// The warm-up is the gradual one of Goyal et al., "Accurate, Large Minibatch SGD" (arXiv:1706.02677), the
/// cosine that of Loshchilov and Hutter, "SGDR" (arXiv:1608.03983), without restarts.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/base/shape.hpp>

#include <optional>
#include <string_view>
#include <vector>

namespace lockstep {

enum class ScheduleKind { constant, cosine, step };

/// "constant", "cosine", "step". Parsing throws UsageError listing the choices.
LOCKSTEP_EXPORT std::string_view to_string(ScheduleKind kind);
LOCKSTEP_EXPORT ScheduleKind parse_schedule_kind(std::string_view name);

struct LOCKSTEP_EXPORT ScheduleOptions {
    ScheduleKind kind = ScheduleKind::constant;
    double learning_rate = 0.1;        ///< the full rate η
    Index epochs = 1;                  ///< E, the length of the whole training
    double warmup_epochs = 0;          ///< w, at most E
    double warmup_start_factor = 0.1;  ///< s, in [0, 1]: the share of η that the first step takes
    /// Where `step` drops the rate, in epochs and ascending; by default at 50 % and 75 % of E.
    std::optional<std::vector<double>> step_epochs = std::nullopt;
    double step_factor = 0.1;  ///< f, in (0, 1]
};

/// A pure function of the position, so a resumed run needs nothing from a checkpoint.
class LOCKSTEP_EXPORT Schedule {
  public:
    /// Throws UsageError, naming the option, where a value makes no sense.
    explicit Schedule(const ScheduleOptions& options);

    /// `position` in epochs, 0 or more.
    double learning_rate_at(double position) const;

  private:
    double warmup_at(double position) const;
    double shape_at(double position) const;

    ScheduleOptions options_;
    std::vector<double> drops_;
};

}  // namespace lockstep
