#include <lockstep/comm/session.hpp>

#include "own_mpi.hpp"

#include <lockstep/base/error.hpp>

#include <mpi.h>

namespace lockstep {

Session::Session(int& argc, char**& argv) {
    require_own_mpi();
    int initialized = 0;
    MPI_Initialized(&initialized);
    if (initialized) return;
    MPI_Init(&argc, &argv);
    owner_ = true;
}

Session::Session() {
    require_own_mpi();
    int initialized = 0, finalized = 0;
    MPI_Initialized(&initialized);
    MPI_Finalized(&finalized);
    if (finalized) throw UsageError("a session needs MPI, which was finalized before and cannot begin again");
    if (initialized) return;
    int provided = 0;
    if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided) != MPI_SUCCESS)
        throw CommunicationError(
            "MPI_Init_thread failed: is the program started as its MPI library wants it?");
    owner_ = true;
}

Session::~Session() {
    int finalized = 0;
    MPI_Finalized(&finalized);
    if (owner_ && !finalized) MPI_Finalize();
}

}  // namespace lockstep
