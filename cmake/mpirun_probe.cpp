// Says how many ranks MPI has joined, and which MPI it is: see LockstepMpirun.cmake.
#include <mpi.h>

#include <cstdio>
#include <cstring>

int main(int argc, char** argv) {
    MPI_Init(&argc, &argv);
    int rank = 0;
    int size = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    char library[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int length = 0;
    MPI_Get_library_version(library, &length);
    library[std::strcspn(library, ",\n")] =
        '\0';  // Open MPI says more after a comma, MPICH on the next lines
    if (char* tab = std::strchr(library, '\t')) *tab = ' ';
    if (rank == 0) std::printf("%d ranks of %s\n", size, library);
    MPI_Finalize();
    return 0;
}
