/// A rank that is alone though it was started with others: what a foreign launcher, whose protocol our MPI
/// library does not speak, makes of `-n 4`: four runs of one rank each.
#pragma once

#include "job_environment.hpp"

#include <optional>
#include <string>

namespace lockstep::launch {

struct LoneRank {
    std::string text;      ///< which variables promise more ranks, and what to do
    bool certain = false;  ///< a launcher of MPI programs says that it has started more
};

/// Nothing unless MPI_COMM_WORLD has one rank (`size`) and the environment promises more. `library` says which MPI
/// library it is.
///
/// A step of srun promises as well, but need not mean one program: that is not certain. mpirun starts its helpers
/// on other nodes as a step of one task a node, which ranks inherit: a launcher that says one rank is believed.
std::optional<LoneRank> find_lone_rank(const Environment& environment, int size, const std::string& library);

}  // namespace lockstep::launch
