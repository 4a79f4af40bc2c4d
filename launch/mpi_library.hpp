/// What MPI says of itself.
#pragma once

#include <string>

namespace lockstep::launch {

/// "Open MPI v4.1.4", without what else the library says of itself.
std::string mpi_library();

}  // namespace lockstep::launch
