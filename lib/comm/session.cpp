#include <lockstep/comm/session.hpp>

#include <mpi.h>

namespace lockstep {

Session::Session(int& argc, char**& argv) {
    int initialized = 0;
    MPI_Initialized(&initialized);
    if (initialized) return;
    MPI_Init(&argc, &argv);
    owner_ = true;
}

Session::~Session() {
    int finalized = 0;
    MPI_Finalized(&finalized);
    if (owner_ && !finalized) MPI_Finalize();
}

}  // namespace lockstep
