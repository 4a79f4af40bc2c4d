/// The figures of a study.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/report/plot.hpp>
#include <lockstep/report/study.hpp>

#include <vector>

namespace lockstep {

/// All figures that the study has data for, in the order in which they are best read:
/// test-error, train-loss, test-accuracy, mean-noise, variance-noise, evaluation-gap, drift, step-time,
/// prediction.
LOCKSTEP_EXPORT std::vector<Figure> study_figures(const Study& study);

}  // namespace lockstep
