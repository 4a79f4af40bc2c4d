/// Counts the MPI calls that send something. Include it in one source of an executable: it defines the MPI
/// functions themselves, in front of the library's, and passes calls on.
#pragma once

#include <mpi.h>

#include <array>
#include <atomic>
#include <cstddef>

namespace lockstep::test {

inline std::atomic<long> mpi_call_count = 0;

/// Bytes that this process has sent to each rank (of whatever communicator), as far as there are so many ranks.
inline std::array<std::atomic<long>, 256> mpi_bytes_to{};

inline void count_bytes(int count, MPI_Datatype type, int to) {
    int bytes = 0;
    MPI_Type_size(type, &bytes);
    if (to >= 0 && to < static_cast<int>(mpi_bytes_to.size()))
        mpi_bytes_to[static_cast<std::size_t>(to)] += long{bytes} * count;
}

/// How many messages and collectives this process has begun.
inline long mpi_calls() {
    return mpi_call_count;
}

}  // namespace lockstep::test

// NOLINTBEGIN(misc-definitions-in-headers): replacing them is the purpose.
extern "C" {

int MPI_Send(const void* data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm) {
    ++lockstep::test::mpi_call_count;
    lockstep::test::count_bytes(count, type, to);
    return PMPI_Send(data, count, type, to, tag, comm);
}
int MPI_Isend(const void* data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm,
              MPI_Request* request) {
    ++lockstep::test::mpi_call_count;
    lockstep::test::count_bytes(count, type, to);
    return PMPI_Isend(data, count, type, to, tag, comm, request);
}
int MPI_Barrier(MPI_Comm comm) {
    ++lockstep::test::mpi_call_count;
    return PMPI_Barrier(comm);
}
int MPI_Bcast(void* data, int count, MPI_Datatype type, int root, MPI_Comm comm) {
    ++lockstep::test::mpi_call_count;
    return PMPI_Bcast(data, count, type, root, comm);
}
int MPI_Allreduce(const void* mine, void* sum, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm) {
    ++lockstep::test::mpi_call_count;
    return PMPI_Allreduce(mine, sum, count, type, op, comm);
}
int MPI_Iallreduce(const void* mine, void* sum, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm,
                   MPI_Request* request) {
    ++lockstep::test::mpi_call_count;
    return PMPI_Iallreduce(mine, sum, count, type, op, comm, request);
}
int MPI_Allgatherv(const void* mine, int count, MPI_Datatype type, void* all, const int* counts,
                   const int* offsets, MPI_Datatype all_type, MPI_Comm comm) {
    ++lockstep::test::mpi_call_count;
    return PMPI_Allgatherv(mine, count, type, all, counts, offsets, all_type, comm);
}
int MPI_Iallgatherv(const void* mine, int count, MPI_Datatype type, void* all, const int* counts,
                    const int* offsets, MPI_Datatype all_type, MPI_Comm comm, MPI_Request* request) {
    ++lockstep::test::mpi_call_count;
    return PMPI_Iallgatherv(mine, count, type, all, counts, offsets, all_type, comm, request);
}
int MPI_Alltoallv(const void* mine, const int* counts, const int* offsets, MPI_Datatype type, void* all,
                  const int* all_counts, const int* all_offsets, MPI_Datatype all_type, MPI_Comm comm) {
    ++lockstep::test::mpi_call_count;
    return PMPI_Alltoallv(mine, counts, offsets, type, all, all_counts, all_offsets, all_type, comm);
}
int MPI_Ialltoallv(const void* mine, const int* counts, const int* offsets, MPI_Datatype type, void* all,
                   const int* all_counts, const int* all_offsets, MPI_Datatype all_type, MPI_Comm comm,
                   MPI_Request* request) {
    ++lockstep::test::mpi_call_count;
    return PMPI_Ialltoallv(mine, counts, offsets, type, all, all_counts, all_offsets, all_type, comm,
                           request);
}

}  // extern "C"
// NOLINTEND(misc-definitions-in-headers)
