// MPI_Comm_idup alone would not do: while one is pending, for a rank that does not come, Open MPI makes no other
// communicator in this process, not even one of the process alone. So the ranks meet first, in collective operations
// of the parent, for a message of ours could meet one of the caller's there:
//  1. A barrier: all ranks have come. One whose time is up here gives up.
//  2. A reduction: whether any rank has given up. Those that have start it, too, and leave it behind: so a rank that
//     comes later learns it at once, and the ranks remain in step.
#include "duplicate.hpp"

#include "communicator_state.hpp"
#include "retirement.hpp"
#include "unfinished.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/comm/deadline.hpp>

#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace lockstep {
namespace {

class Meeting {
  public:
    Meeting(MPI_Comm parent, double timeout_seconds) : parent_(parent), timeout_seconds_(timeout_seconds) {
        MPI_Comm_rank(parent, &rank_);
        MPI_Comm_size(parent, &size_);
    }

    MPI_Comm duplicate() {
        all_come();
        nobody_has_given_up();
        const auto made = std::make_shared<MPI_Comm>(MPI_COMM_NULL);
        MPI_Request request = MPI_REQUEST_NULL;
        check(MPI_Comm_idup(parent_, made.get(), &request));
        if (!completes_in_time(request)) fail_on_time(request, made);
        return *made;
    }

  private:
    void all_come() {
        MPI_Request request = MPI_REQUEST_NULL;
        check(MPI_Ibarrier(parent_, &request));
        if (completes_in_time(request)) return;
        start_reduction(true);
        keep_until_complete({{reduction_}, ranks_});
        fail_on_time(request, nullptr);
    }

    void nobody_has_given_up() {
        start_reduction(false);
        if (!completes_in_time(reduction_)) fail_on_time(reduction_, ranks_);
        const int first = ranks_->first_that_gave_up;
        if (first < size_)
            throw CommunicationError(
                whoami() + ": a Communicator cannot be made: rank " + std::to_string(first) +
                " has waited for it until its time-out, and given up, before all ranks came; let all ranks "
                "come within "
                "the time-out, or set a longer one (CommunicatorOptions::timeout_seconds)");
    }

    void start_reduction(bool gives_up) {
        ranks_->mine = gives_up ? rank_ : size_;
        check(MPI_Iallreduce(&ranks_->mine, &ranks_->first_that_gave_up, 1, MPI_INT, MPI_MIN, parent_,
                             &reduction_));
    }

    bool completes_in_time(MPI_Request& request) const {
        Deadline deadline(timeout_seconds_);
        for (int done = 0;;) {
            check(MPI_Test(&request, &done, MPI_STATUS_IGNORE));
            if (done) return true;
            if (deadline.passed()) return false;
            if (deadline.looked()) std::this_thread::yield();
        }
    }

    [[noreturn]] void fail_on_time(MPI_Request request, std::shared_ptr<void> memory) const {
        keep_until_complete({{request}, std::move(memory)});
        throw CommunicationError(whoami() + ": time-out after " + seconds_text(timeout_seconds_) +
                                 " at making a Communicator: not every rank of its parent came; one has "
                                 "failed, hangs, or took another "
                                 "way. It is made by all ranks of the parent together, in the same order as "
                                 "other collective operations "
                                 "on that");
    }

    void check(int code) const {
        if (code != MPI_SUCCESS)
            throw CommunicationError(
                whoami() + ": MPI cannot duplicate the communicator that a Communicator is made from");
    }

    std::string whoami() const { return "rank " + std::to_string(rank_) + " of " + std::to_string(size_); }

    struct Ranks {
        int mine = 0;
        int first_that_gave_up = 0;
    };

    MPI_Comm parent_;
    double timeout_seconds_;
    int rank_ = 0;
    int size_ = 1;
    MPI_Request reduction_ = MPI_REQUEST_NULL;
    std::shared_ptr<Ranks> ranks_ = std::make_shared<Ranks>();  // MPI's own until the reduction is complete
};

}  // namespace

MPI_Comm duplicate_in_time(MPI_Comm parent, double timeout_seconds) {
    return Meeting(parent, timeout_seconds).duplicate();
}

}  // namespace lockstep
