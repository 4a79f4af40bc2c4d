/// A communicator of our own: a duplicate of the caller's, checked calls, and waits that end.
#pragma once

#include <lockstep/base/export.hpp>

#include <mpi.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lockstep {

class CommunicatorState;
struct CommunicatorAccess;

struct CommunicatorOptions {
    /// How long an exchange may wait for other ranks before it is a CommunicationError.
    double timeout_seconds = 300;
};

/// A handle on a duplicate of an MPI communicator.
///
/// Construction from an MPI_Comm is collective over it and duplicates it, so that no message of ours can meet
/// one of the caller's. Copies of the handle share that one duplicate, which is freed after the last of them, once
/// all ranks have let go (or left alone where MPI is finalized already). MPI must be initialized; it is never
/// initialized here. A rank that does not come for the construction is a CommunicationError after the time-out.
///
/// Threads: with all that was made with it, a handle serves one thread at a time; another that comes meanwhile gets a
/// UsageError. With MPI_THREAD_SINGLE or FUNNELED that is the thread that initialized MPI; with SERIALIZED one thread
/// at a time over all communicators; with MULTIPLE each may have a communicator of its own.
///
/// A rank whose exchange fails tells all others, so that whoever waits on this communicator fails with the
/// same words instead of waiting for its time-out. A communicator that has failed stays so: make a new one.
/// Layers that are to notice each other's mistakes (a wrong order, say) share one Communicator.
class LOCKSTEP_EXPORT Communicator {
  public:
    /// Throws UsageError for what is no intra-communicator, as far as MPI finds that out: a handle that was
    /// freed, or is a stranger's pointer, may end the job.
    explicit Communicator(MPI_Comm parent, CommunicatorOptions options = {});
    /// The calling process alone.
    static Communicator self() { return Communicator(MPI_COMM_SELF); }

    int rank() const;
    int size() const;
    MPI_Comm handle() const;
    double timeout_seconds() const;
    /// How long this rank has waited for others in exchanges over this communicator, all in all.
    double seconds_waited() const;

    /// As MPI_Comm_split: collective; one new communicator for each color, ranks ordered by key.
    Communicator split(int color, int key) const;

    /// Every rank's text, by rank. Collective. `what` names the exchange in errors: a rank that is elsewhere
    /// meanwhile, in another exchange of this communicator, is a CommunicationError that names both.
    std::vector<std::string> all_gather(std::string_view text, std::string_view what) const;
    /// Every rank's bytes one after the other; `counts[r]` says how many come from rank r, the same on every
    /// rank. Collective.
    void all_gather(const void* mine, void* all, std::span<const int> counts, std::string_view what) const;

    /// Waits until all ranks have called this, and leaves the core to others meanwhile: for ranks that have
    /// nothing to do while others compute for longer than the time-out, which tell by signs of life that they
    /// are at it. Collective. Throws CommunicationError if nothing was heard for the time-out.
    void wait_for_all(std::string_view what) const;
    /// Sends a sign of life to the ranks from `first` on that are in wait_for_all, but seldom enough to cost
    /// nothing however often it is called.
    void show_life(int first) const;

    /// Waits for a request of this communicator; throws CommunicationError after the time-out.
    void wait(MPI_Request& request, std::string_view what) const;

    /// Throws CommunicationError with MPI's own words if `code` is an error.
    void check(int code, std::string_view what) const;

    /// Tells all other ranks that this one cannot go on, and why: who waits for it then gets a
    /// CommunicationError with these words at once. For callers that catch an error of their own; the
    /// communicator is of no use after.
    void announce_failure(std::string_view why) const;

    /// 1, 2, 3 … at each call: numbers the collective calls over this communicator, for their labels.
    std::uint64_t next_call() const;

    /// What errors call a rank: its number here, or in the communicator that this one was made from by numbering its
    /// ranks anew (see by_node).
    int name(int rank) const;
    /// What precedes an error's text: "rank 3 of 8".
    std::string whoami() const;

  private:
    friend struct CommunicatorAccess;  // this floor's way to the state
    explicit Communicator(std::shared_ptr<CommunicatorState> state) : state_(std::move(state)) {}

    std::shared_ptr<CommunicatorState> state_;
};

}  // namespace lockstep
