// An object that says whose mpi.h it was compiled with; see LockstepMpi.cmake, which reads it and never runs it.
#include <mpi.h>

#define TEXT_OF(name) #name
#define TEXT(macro) TEXT_OF(macro)

extern const char lockstep_which_mpi[];
const char lockstep_which_mpi[] = "lockstep_which_mpi{"
#if defined(OMPI_MAJOR_VERSION)
    "Open MPI:Open MPI " TEXT(OMPI_MAJOR_VERSION) "." TEXT(OMPI_MINOR_VERSION) "." TEXT(OMPI_RELEASE_VERSION)
#elif defined(I_MPI_VERSION)
    "MPICH:Intel MPI " I_MPI_VERSION
#elif defined(MVAPICH2_VERSION)
    "MPICH:MVAPICH2 " MVAPICH2_VERSION
#elif defined(MPICH_VERSION)
    "MPICH:MPICH " MPICH_VERSION
#endif
    "}";
