/// How a run ends that cannot go on: one line, and no rank left behind.
#pragma once

#include <mpi.h>

#include <string>
#include <vector>

namespace lockstep::launch {

/// Reports errors in messages over MPI_COMM_WORLD, where the program sends no others: so it needs nobody to come before
/// something goes wrong. Within the life of the Session.
class FailureReport {
  public:
    FailureReport();

    /// Says what went wrong on this rank. Where all ranks fail within two seconds, one of them prints each
    /// different fault once, and this returns, for the caller to leave with a non-zero exit. Where some do
    /// not come, one of the others prints the first fault and aborts all ranks; where they should fail, too, since all
    /// were to meet there, it names them.
    void report(const std::string& what, bool all_should_fail) const;

  private:
    struct Text {
        int rank;
        std::string text;
    };

    /// The texts of all ranks that report within the two seconds, ours among them; the cause comes first.
    std::vector<Text> exchange(const std::string& text) const;
    /// "; nothing is heard of rank 1, 3": those of whom `all` has no text.
    std::string silent_ranks(const std::vector<Text>& all) const;

    int rank_ = 0;
    int size_ = 1;
};

}  // namespace lockstep::launch
