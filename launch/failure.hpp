/// How a run ends that cannot go on: one line, and no rank left behind.
#pragma once

#include <mpi.h>

#include <string>

namespace lockstep::launch {

/// Reports errors over a communicator of its own, which must be made before anything can go wrong.
class FailureReport {
  public:
    FailureReport();

    /// Says what went wrong on this rank. Where all ranks fail within two seconds, one of them prints each
    /// different text once, and this returns, for the caller to leave with a non-zero exit. Where others do
    /// not come, prints this rank's text and aborts all ranks.
    void report(const std::string& text) const;

  private:
    MPI_Comm communicator_ = MPI_COMM_NULL;
};

}  // namespace lockstep::launch
