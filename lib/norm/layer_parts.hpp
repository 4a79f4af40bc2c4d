/// What the two passes of a batch norm layer have in common.
#pragma once

#include "channel_coefficients.hpp"

#include <lockstep/comm/communicator.hpp>
#include <lockstep/norm/running_averages.hpp>
#include <lockstep/norm/statistics_groups.hpp>

#include <cstdint>
#include <string>

namespace lockstep {

template <class Scalar>
struct LayerParts {
    Index channels;
    BatchNormOptions options;
    Communicator communicator;
    StatisticsGroups groups;
    std::string name;
    std::uint64_t identity;  ///< of the layer on this communicator: what saved moments are held against
    Scalar* gamma;
    Scalar* beta;
    RunningAverages<Scalar> averages;
    ChannelCoefficients<Scalar> coefficients;
    KernelTeam team{};

    ChannelRange all_channels() const { return {0, channels}; }
};

}  // namespace lockstep
