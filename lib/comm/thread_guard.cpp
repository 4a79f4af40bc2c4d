#include "thread_guard.hpp"

#include <lockstep/base/error.hpp>

#include <mpi.h>

namespace lockstep {
namespace {

/// MPI_THREAD_SERIALIZED is a promise of the whole process, so it takes a mark that all communicators share.
std::atomic<std::thread::id>& inside_of_the_process() {
    static std::atomic<std::thread::id> inside{};
    return inside;
}

}  // namespace

ThreadGuard::ThreadGuard() {
    int level = MPI_THREAD_SINGLE;
    MPI_Query_thread(&level);
    if (level == MPI_THREAD_SERIALIZED) inside_ = &inside_of_the_process();
    main_only_ = level < MPI_THREAD_SERIALIZED;
    if (!main_only_) return;
    int is_main = 0;
    MPI_Is_thread_main(&is_main);
    if (!is_main) refuse_thread_that_is_not_main();
    main_ = std::this_thread::get_id();
}

void ThreadGuard::refuse_second_thread() const {
    if (inside_ == &own_)
        throw UsageError(
            "this communicator is in use by another thread: a Communicator, with its copies and all that is "
            "made with it, serves one thread at a time; give each thread a Communicator of its own");
    throw UsageError(
        "another thread is communicating, and MPI was initialized with MPI_THREAD_SERIALIZED: let the "
        "threads take turns, or initialize MPI with MPI_THREAD_MULTIPLE and give each a Communicator of its "
        "own");
}

void ThreadGuard::refuse_thread_that_is_not_main() {
    throw UsageError(
        "only the thread that initialized MPI may communicate, since it did not ask for more: communicate "
        "from that thread, or initialize MPI by MPI_Init_thread with MPI_THREAD_SERIALIZED (one thread at a "
        "time) or MPI_THREAD_MULTIPLE");
}

}  // namespace lockstep
