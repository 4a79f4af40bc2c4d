/// Measurements behind a prediction: the link between the ranks at hand, computing time, and the model beside
/// the clock.
#pragma once

#include "study_options.hpp"

#include <lockstep/comm/communicator.hpp>
#include <lockstep/data/dataset.hpp>
#include <lockstep/report/prediction.hpp>

namespace lockstep::launch {

/// Throws UsageError where a prediction is asked for that one rank alone cannot make.
void check_prediction(const StudyOptions& study, const Communicator& communicator);

/// Collective; alike on all ranks. The checks are on 2, 4, 8 … ranks, as many as there are.
Prediction measure_and_predict(const StudyOptions& study, const DatasetPair& data,
                               const Communicator& communicator);

}  // namespace lockstep::launch
