/// A duplicate of a caller's communicator, or an error if a rank does not come for it.
#pragma once

#include <mpi.h>

namespace lockstep {

/// Collective over `parent`. Throws CommunicationError after the time-out if a rank does not come, and at once on a
/// rank that comes when others have given up. After that all ranks can try again.
MPI_Comm duplicate_in_time(MPI_Comm parent, double timeout_seconds);

}  // namespace lockstep
