/// What all ranks train alike: before anything is sized by the options they are completed, checked and compared.
#pragma once

#include <lockstep/base/settings.hpp>
#include <lockstep/comm/communicator.hpp>
#include <lockstep/train/data_survey.hpp>
#include <lockstep/train/trainer_options.hpp>

#include <cstddef>

namespace lockstep {

struct AgreedRun {
    TrainerOptions options;  ///< resolved
    DataSurvey found;        ///< with moments where the input is standardized
    Settings settings;       ///< see settings_of
};

/// Collective; what it throws is thrown on every rank: see Trainer. `known` is what a survey has found before, or
/// empty. The ranks agree on an instruction set, too.
AgreedRun agree_on_run(TrainerOptions options, const Dataset& data, const Communicator& communicator,
                       DataSurvey known, std::size_t scalar_bytes);

}  // namespace lockstep
