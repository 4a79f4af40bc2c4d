/// What mpirun, mpiexec and srun tell the processes that they start, through their environment.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace lockstep::launch {

using Environment = std::map<std::string, std::string>;

/// What this process was started with. Read from /proc: MPI_Init sets launchers' variables of its own, also in a
/// process that no launcher has started.
Environment initial_environment();

/// A variable that is set to a number.
struct Announcement {
    std::string variable;
    long value = 0;
};

/// "PMI_SIZE=4"
std::string to_string(const Announcement& announcement);

/// How many ranks a launcher of MPI programs has started together; every variable of that kind.
std::vector<Announcement> announced_sizes(const Environment& environment);

/// Which of them this process is; nothing if no launcher of MPI programs has started it.
std::optional<Announcement> announced_rank(const Environment& environment);

/// How many tasks the step of srun has that this process is a task of. Nothing in a script under sbatch or in a
/// shell of salloc, which have SLURM_NTASKS too, and where a process alone may well be meant.
std::optional<Announcement> announced_step(const Environment& environment);

}  // namespace lockstep::launch
