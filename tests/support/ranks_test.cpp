/// What mpi_main.cpp promises to every MPI test, and mpirun_test.
#include <gtest/gtest.h>
#include <mpi.h>

#include <cstdlib>
#include <string>

namespace {

TEST(Ranks, AreAsManyAsWereAskedForAndSeeEachOther) {
    const char* const expected = std::getenv("LOCKSTEP_EXPECTED_RANKS");
    ASSERT_NE(expected, nullptr) << "started without tests/support/mpirun";
    int rank = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    int sum = 0;
    MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    const int size = std::stoi(expected);
    EXPECT_EQ(sum, size * (size - 1) / 2);
}

}  // namespace
