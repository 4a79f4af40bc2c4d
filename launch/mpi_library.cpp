#include "mpi_library.hpp"

#include <mpi.h>

#include <algorithm>

namespace lockstep::launch {

std::string mpi_library() {
    std::string text(MPI_MAX_LIBRARY_VERSION_STRING, '\0');
    int length = 0;
    MPI_Get_library_version(text.data(), &length);
    text.resize(static_cast<std::size_t>(length));
    text.resize(std::min(text.find_first_of(",\n"), text.size()));
    std::ranges::replace(text, '\t', ' ');
    return text;
}

}  // namespace lockstep::launch
