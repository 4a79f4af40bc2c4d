/// A study as text: the table on the screen, and results.csv.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/report/study.hpp>

#include <string>
#include <string_view>

namespace lockstep {

/// Test error by samples per replica and mode: mean ± deviation over the seeds, and the gap to sync; then the
/// combinations that failed or were left out. Ends with a line break.
LOCKSTEP_EXPORT std::string results_table(const Study& study);

/// Predicted time per step by batch size and ranks, and predicted beside measured; empty without prediction.
LOCKSTEP_EXPORT std::string prediction_table(const Study& study);

/// One line for each combination, after the last epoch, quoted as in RFC 4180. Errors are shares. What
/// depends on the machine comes last, in columns whose names end in "seconds" or "seconds_per_step"; all
/// others have the same text wherever, and on however many ranks, the study was made.
LOCKSTEP_EXPORT std::string results_csv(const Study& study);

/// A field of a CSV line, in quotes where it needs them.
LOCKSTEP_EXPORT std::string csv_field(std::string_view text);

}  // namespace lockstep
