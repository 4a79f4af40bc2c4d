#include "own_mpi.hpp"

#include <lockstep/base/error.hpp>

#include <mpi.h>

#include <array>
#include <string>

namespace lockstep {
namespace {

/// By the handles: pointers, or numbers. Neither, if mpi.h is of a kind that we do not know.
#if defined(OPEN_MPI)
constexpr auto compiled_with = "Open MPI";
constexpr std::array strangers{"MPICH", "Intel(R) MPI", "MVAPICH"};
#elif defined(MPICH_VERSION) || defined(I_MPI_VERSION)
constexpr auto compiled_with = "MPICH, or one of its kind";
constexpr std::array strangers{"Open MPI"};
#else
constexpr auto compiled_with = "another MPI";
constexpr std::array<const char*, 0> strangers{};
#endif

std::string name_of_mpi() {
    std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
    int length = 0;
    MPI_Get_library_version(text.data(), &length);
    const std::string name = text.data();
    return name.substr(0, name.find_first_of(",\n"));
}

}  // namespace

void require_own_mpi() {
    static const std::string running = name_of_mpi();
    for (const char* const stranger : strangers)
        if (running.starts_with(stranger))
            throw UsageError("Lockstep's library was compiled with " + std::string(compiled_with) +
                             ", and this program runs with '" + running +
                             "': it was linked with two MPIs, or has loaded the other one first, as mpi4py "
                             "does; build all with the same MPI");
}

}  // namespace lockstep
