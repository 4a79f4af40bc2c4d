#include "failure.hpp"

#include <cstdio>
#include <cstring>
#include <set>
#include <string_view>
#include <vector>

namespace lockstep::launch {
namespace {

constexpr int text_bytes = 2048;
constexpr double patience_seconds = 2;

void print(int rank, std::string_view text) {
    std::fflush(stdout);
    // Errors that name their rank themselves ("rank 3 of 8: …") are not given it twice.
    const std::string own = "rank " + std::to_string(rank) + " of ";
    if (text.starts_with(own)) text.remove_prefix(std::min(text.find(": ") + 2, text.size()));
    std::fprintf(stderr, "lockstep: rank %d: %.*s\n", rank, static_cast<int>(text.size()), text.data());
    std::fflush(stderr);
}

}  // namespace

FailureReport::FailureReport() {
    MPI_Comm_dup(MPI_COMM_WORLD, &communicator_);
}

void FailureReport::report(const std::string& text) const {
    int rank = 0, size = 1;
    MPI_Comm_rank(communicator_, &rank);
    MPI_Comm_size(communicator_, &size);
    std::vector<char> mine(text_bytes, '\0');
    std::memcpy(mine.data(), text.data(), std::min<std::size_t>(text.size(), text_bytes - 1));
    std::vector<char> all(static_cast<std::size_t>(size) * text_bytes);
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_Iallgather(mine.data(), text_bytes, MPI_CHAR, all.data(), text_bytes, MPI_CHAR, communicator_,
                   &request);
    const double start = MPI_Wtime();
    int everybody = 0;
    while (!everybody && MPI_Wtime() - start < patience_seconds)
        MPI_Test(&request, &everybody, MPI_STATUS_IGNORE);
    if (!everybody) {
        print(rank, text);
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    if (rank != 0) return;
    std::set<std::string> printed;
    for (int r = 0; r < size; ++r) {
        const std::string theirs(all.data() + static_cast<std::ptrdiff_t>(r) * text_bytes);
        // The same fault reads the same on all ranks but for the rank's name.
        const std::string key =
            theirs.starts_with("rank ") ? theirs.substr(std::min(theirs.find(": "), theirs.size())) : theirs;
        if (printed.insert(key).second) print(r, theirs);
    }
}

}  // namespace lockstep::launch
