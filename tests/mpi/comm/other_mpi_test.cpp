// A program that brings along another MPI, whose functions take the place of the library's own.
#include <lockstep/base/error.hpp>
#include <lockstep/comm/communicator.hpp>
#include <lockstep/comm/session.hpp>

#include <gtest/gtest.h>

#include <mpi.h>

#include <cstdio>
#include <string>

#ifdef OPEN_MPI
constexpr auto other_mpi = "MPICH Version:\t4.0.2\nMPICH Release date:\tunknown";
#else
constexpr auto other_mpi = "Open MPI v4.1.4, package: unknown";
#endif

// That of a program comes before that of a shared library.
extern "C" int MPI_Get_library_version(char* version, int* length) {
    *length = std::snprintf(version, MPI_MAX_LIBRARY_VERSION_STRING, "%s", other_mpi);
    return MPI_SUCCESS;
}

namespace lockstep {
namespace {

template <class Make>
std::string error_of(Make make) {
    try {
        make();
    } catch (const UsageError& error) {
        return error.what();
    }
    return "no error";
}

// Its handles would mean nothing to the other: not an error, but a crash.
TEST(OtherMpi, IsAnErrorBeforeAnyHandleIsUsed) {
    const std::string name = std::string(other_mpi).substr(0, std::string(other_mpi).find_first_of(",\n"));
    for (const std::string& error : {error_of([] { const Communicator comm(MPI_COMM_WORLD); }),
                                     error_of([] { const Session session; })}) {
        EXPECT_NE(error.find(name), std::string::npos) << error;
        EXPECT_NE(error.find("build all with the same MPI"), std::string::npos) << error;
    }
}

}  // namespace
}  // namespace lockstep
