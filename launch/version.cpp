#include "command.hpp"
#include "mpi_library.hpp"

#include <lockstep/simd/instruction_set.hpp>

#include <mpi.h>

#include <string>

namespace lockstep::launch {
namespace {

std::string mpi_standard() {
    int version = 0, subversion = 0;
    MPI_Get_version(&version, &subversion);
    return std::to_string(version) + "." + std::to_string(subversion);
}

std::string compiled_sets() {
    std::string list;
    for (const InstructionSet set : compiled_instruction_sets())
        list += (list.empty() ? "" : ", ") + std::string(to_string(set));
    return list;
}

}  // namespace

std::string version_text() {
    return std::string("lockstep ") + LOCKSTEP_VERSION +
           "\n"
           "MPI:               " +
           mpi_library() + ", standard " + mpi_standard() +
           "\n"
           "compiler:          " LOCKSTEP_COMPILER ", " LOCKSTEP_BUILD_TYPE
           "\n"
           "instruction sets:  " +
           compiled_sets() + "; in use: " + std::string(to_string(active_instruction_set())) +
           " (kernels), " + std::string(to_string(product_instruction_set())) + " (products)\n";
}

}  // namespace lockstep::launch
