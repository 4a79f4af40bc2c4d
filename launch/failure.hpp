/// How a run ends that cannot go on: one line, and no rank left behind.
#pragma once

#include <mpi.h>

#include <string>
#include <vector>

namespace lockstep::launch {

/// Reports errors over a communicator of its own, which must be made before anything can go wrong, and is freed when all
/// ranks are at their end: within the life of the Session.
class FailureReport {
  public:
    FailureReport();
    ~FailureReport();
    FailureReport(const FailureReport&) = delete;
    FailureReport& operator=(const FailureReport&) = delete;

    /// Says what went wrong on this rank. Where all ranks fail within two seconds, one of them prints each
    /// different fault once, and this returns, for the caller to leave with a non-zero exit. Where some do
    /// not come, one of the others prints the first fault and aborts all ranks.
    void report(const std::string& what) const;

  private:
    struct Text {
        int rank;
        std::string text;
    };

    /// The texts of all ranks that report within the two seconds, ours among them; the cause comes first.
    std::vector<Text> exchange(const std::string& text) const;

    MPI_Comm communicator_ = MPI_COMM_NULL;
    int rank_ = 0;
    int size_ = 1;
};

}  // namespace lockstep::launch
