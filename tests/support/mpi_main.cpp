// The main() of every MPI test: makes sure that there are as many ranks as were asked for, runs GoogleTest
// alike on all of them and makes them agree on each result, so that a test that fails on one rank fails, and
// fails on all of them.
#include <lockstep/base/error.hpp>
#include <lockstep/simd/instruction_set.hpp>

#include <gtest/gtest.h>
#include <mpi.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

namespace {

constexpr int skipped = 77;  // to ctest

int rank_in(MPI_Comm communicator) {
    int rank = 0;
    MPI_Comm_rank(communicator, &rank);
    return rank;
}

/// Whether MPI has joined as many ranks as tests/support/mpirun was asked for. Under the mpirun of another MPI
/// library each process is alone, and tests on several ranks would pass without having exchanged anything.
bool has_expected_ranks() {
    const char* const expected = std::getenv("LOCKSTEP_EXPECTED_RANKS");
    int size = 0;
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (expected == nullptr || std::to_string(size) == expected) return true;
    std::printf("%d rank(s) where %s were asked for: mpirun and this program belong to two MPI libraries\n",
                size, expected);
    return false;
}

/// --threads=serialized or multiple; other tests have one thread.
int wanted_thread_level(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
        if (std::string(argv[i]) == "--threads=serialized") return MPI_THREAD_SERIALIZED;
        if (std::string(argv[i]) == "--threads=multiple") return MPI_THREAD_MULTIPLE;
    }
    return MPI_THREAD_FUNNELED;
}

/// Says on which rank a check failed. GoogleTest's own printer speaks on rank 0 only, so the other ranks
/// print the whole failure, in one write, lest the lines of two ranks mingle.
class FailurePrinter : public testing::EmptyTestEventListener {
  public:
    explicit FailurePrinter(int rank) : rank_(rank) {}

    void OnTestPartResult(const testing::TestPartResult& result) override {
        if (!result.failed()) return;
        std::string text = "[ rank " + std::to_string(rank_) + " ] ";
        if (rank_ != 0) {
            const char* file = result.file_name() ? result.file_name() : "(unknown file)";
            text += std::string(file) + ":" + std::to_string(result.line_number()) + ": Failure in " + test_ +
                    "\n" + result.message() + "\n";
        }
        std::fwrite(text.data(), 1, text.size(), stdout);
        std::fflush(stdout);
    }

    void OnTestStart(const testing::TestInfo& test) override {
        test_ = std::string(test.test_suite_name()) + "." + test.name();
    }

  private:
    int rank_;
    std::string test_;
};

/// After every test, fails it here if it failed on another rank. Also keeps the ranks in the same test.
class ResultAgreement : public testing::EmptyTestEventListener {
  public:
    ResultAgreement() {
        // A communicator of its own: a message that a failed test has left behind must not be taken for ours.
        MPI_Comm_dup(MPI_COMM_WORLD, &communicator_);
    }

    void OnTestEnd(const testing::TestInfo& test) override {
        const int failed_here = test.result()->Failed() ? 1 : 0;
        int failed_ranks = 0;
        MPI_Allreduce(&failed_here, &failed_ranks, 1, MPI_INT, MPI_SUM, communicator_);
        if (failed_ranks > 0 && rank_in(communicator_) == 0 && failed_here == 0) {
            ADD_FAILURE() << "failed on " << failed_ranks << " of the other ranks; see their messages";
        }
    }

    void OnTestProgramEnd(const testing::UnitTest&) override { MPI_Comm_free(&communicator_); }

  private:
    MPI_Comm communicator_ = MPI_COMM_NULL;
};

/// Result events reach listeners in order, end events in reverse order: the agreement comes before the
/// printer reports how the test has ended.
void install_listeners(int rank) {
    testing::TestEventListeners& listeners = testing::UnitTest::GetInstance()->listeners();
    std::unique_ptr<testing::TestEventListener> printer(
        listeners.Release(listeners.default_result_printer()));
    listeners.Append(new FailurePrinter(rank));
    if (rank == 0) listeners.Append(printer.release());
    listeners.Append(new ResultAgreement);
}

/// Whether this processor has the instruction set that the environment asks for, if it asks for one.
bool has_forced_instruction_set() {
    try {
        lockstep::forced_instruction_set();
        return true;
    } catch (const lockstep::UsageError& error) {
        std::printf("skipped: %s\n", error.what());
        return false;
    }
}

}  // namespace

int main(int argc, char** argv) {
    int provided = 0;
    MPI_Init_thread(&argc, &argv, wanted_thread_level(argc, argv), &provided);
    testing::InitGoogleTest(&argc, argv);
    if (!has_expected_ranks()) {
        MPI_Finalize();
        return 1;
    }
    if (!has_forced_instruction_set()) {
        MPI_Finalize();
        return skipped;
    }
    install_listeners(rank_in(MPI_COMM_WORLD));

    const int failed_here = RUN_ALL_TESTS();
    int failed = 0;
    MPI_Allreduce(&failed_here, &failed, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    MPI_Finalize();
    return failed;
}
