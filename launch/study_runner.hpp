/// One combination of a study: trains it, and looks at it while it trains.
#pragma once

#include "study_folder.hpp"
#include "study_options.hpp"

#include <lockstep/comm/communicator.hpp>
#include <lockstep/data/dataset.hpp>
#include <lockstep/report/study.hpp>

#include <functional>

namespace lockstep::launch {

/// The record of a combination that has not begun.
Combination empty_record(const CombinationPlan& plan);

struct CombinationResult {
    Combination record;
    ReferenceRun parameters;  ///< after each epoch; on rank 0 of a synchronized run alone
};

/// Collective. `reference` may be null and is looked at by rank 0 alone, which is where the result is
/// complete. `progress` is called after each step with the share of the work that is done. A training that
/// cannot start or go on gives a record of that; errors of files and of communication are thrown.
CombinationResult run_combination(const StudyOptions& study, const CombinationPlan& plan,
                                  const DatasetPair& data, const DataSurvey& found,
                                  const Communicator& communicator, const ReferenceRun* reference,
                                  const std::function<void(double share)>& progress);

/// The median; NaN where there are none.
double median(std::vector<double> values);
/// The mean of a number over all ranks. Collective.
double mean_over_ranks(double value, const Communicator& communicator);

}  // namespace lockstep::launch
