/// The launcher: `mpirun -n 4 lockstep COMMAND --option value …`
#include "command.hpp"
#include "failure.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/comm/session.hpp>

#include <mpi.h>

#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <vector>

namespace {

using namespace lockstep::launch;

constexpr const char* usage =
    "Lockstep trains networks with batch normalization on many MPI processes, with the same bits at any "
    "number of them.\n"
    "\n"
    "  mpirun -n RANKS lockstep train [options]       train a network\n"
    "  mpirun -n RANKS lockstep evaluate [options]    evaluate weights on the test set\n"
    "  mpirun -n RANKS lockstep compare [options]     synchronized against local batch norm, as a report\n"
    "\n"
    "Each command prints its options with --help. A first run, on the built-in digits:\n"
    "\n"
    "  mpirun -n 2 lockstep train --config configs/digits_mlp.cfg --bn sync\n";

void run(const std::string& command, const std::vector<std::string>& arguments) {
    if (command == "train") return train_command(arguments);
    if (command == "evaluate") return evaluate_command(arguments);
    if (command == "compare") return compare_command(arguments);
    if (command == "help" || command == "--help") {
        int rank = 0;
        MPI_Comm_rank(MPI_COMM_WORLD, &rank);
        if (rank == 0) std::fputs(usage, stdout);
        return;
    }
    throw lockstep::UsageError("'" + command + "' is no command; see --help");
}

}  // namespace

int main(int argc, char** argv) {
    const lockstep::Session session(argc, argv);
    const FailureReport failure;
    try {
        run(argc > 1 ? argv[1] : "help", {argv + (argc > 1 ? 2 : 1), argv + argc});
        return 0;
    } catch (const std::bad_alloc&) {
        failure.report("out of memory: use fewer replicas on each rank, a smaller batch or a smaller model");
    } catch (const std::exception& error) {
        failure.report(error.what());
    }
    return 1;
}
