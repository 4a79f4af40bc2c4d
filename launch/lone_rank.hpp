/// A rank that is alone though it was started with others: what a foreign launcher, whose protocol our MPI
/// library does not speak, makes of `-n 4`.
#pragma once

#include <map>
#include <optional>
#include <string>

namespace lockstep::launch {

using Environment = std::map<std::string, std::string>;

/// The environment of this process. To be taken before MPI_Init, which sets launchers' variables itself.
Environment current_environment();

/// A warning for a process whose MPI_COMM_WORLD has `size` ranks, if that is one and the environment promises
/// more: which variables say so, and what to check. `library` says which MPI library it is.
///
/// Only variables that a launcher sets for each process are asked. In a script under sbatch or salloc
/// SLURM_NTASKS is there too, and a rank alone may well be meant; in a step of srun it may not. mpirun starts
/// its helpers on other nodes as a step of one task a node, which ranks inherit: a launcher that says one
/// rank is believed.
std::optional<std::string> lone_rank_warning(const Environment& environment, int size,
                                             const std::string& library);

}  // namespace lockstep::launch
