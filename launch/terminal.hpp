/// Whether a person looks at what is printed.
#pragma once

namespace lockstep::launch {

/// Whether standard output reaches a terminal that can redraw a line. Under mpirun, which hands its ranks
/// pseudo-terminals (Open MPI) or pipes (MPICH) wherever its own output goes, it is mpirun's output that counts;
/// where that cannot be known (on another machine, say), the answer is no.
bool output_is_a_terminal();

}  // namespace lockstep::launch
