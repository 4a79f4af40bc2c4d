/// What all handles on one duplicated communicator share.
#pragma once

#include "finalize_watch.hpp"
#include "retirement.hpp"
#include "thread_guard.hpp"
#include "unfinished.hpp"

#include <lockstep/comm/communicator.hpp>
#include <lockstep/comm/deadline.hpp>
#include <lockstep/comm/nodes.hpp>

#include <mpi.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace lockstep {

class Mailboxes;
class TreeExchange;

/// Everything but what is const or atomic is for a thread that is inside (see Inside).
class CommunicatorState {
  public:
    /// Takes the duplicate. How it ends: see retirement.hpp.
    CommunicatorState(MPI_Comm duplicate, CommunicatorOptions chosen);
    CommunicatorState(const CommunicatorState&) = delete;
    CommunicatorState& operator=(const CommunicatorState&) = delete;

    /// Remembers the failure and tells the other ranks.
    void announce(const std::string& what);
    /// Tells the other ranks of a failure that was announced when MPI could not be called.
    void tell_failure();
    /// Announces, and throws CommunicationError.
    [[noreturn]] void fail(const std::string& what);
    /// Fails because the time was up at `what`. Names the ranks that did not come: `missing` where these are
    /// known, but not those that wait, too, where there are others.
    [[noreturn]] void fail_on_time(const std::string& what, const std::vector<int>& missing);
    /// Asks all ranks whether they wait, too: those of the suspects that do not answer within a moment; where all of
    /// them do, those of all ranks that do not; where there are none, the suspects.
    std::vector<int> those_without_answer(const std::vector<int>& suspects);
    /// Throws if the communicator has failed before.
    void check_usable() const;
    /// Receives the signs of life that have come; whether there were any.
    bool saw_life();
    /// For loops that wait: whether the time is up. Throws CommunicationError if another rank has failed.
    bool time_is_up(Deadline& deadline);

    /// For an exchange that is given up before its end: later messages cannot be told apart any more, so this
    /// is a failure. Keeps what MPI may still use.
    void give_up(const std::string& what, Unfinished unfinished);
    /// The same for an operation that MPI has no way to end: the communicator is never freed.
    void give_up_collective() { unfinished_collective = true; }
    void keep(Unfinished unfinished) { unfinished_.push_back(std::move(unfinished)); }
    /// Drives what was given up; whether it is all complete.
    bool unfinished_is_complete();

    /// What errors call a rank: its number in the caller's communicator, where this one is numbered anew.
    int name(int of_rank) const { return names.empty() ? of_rank : names[static_cast<std::size_t>(of_rank)]; }
    /// "rank 1, 3": each once, in order.
    std::string ranks_text(const std::vector<int>& ranks) const;

    void send_empty(int to, int tag) const;
    /// Whether calls of MPI are possible, as far as this thread and MPI_Finalize have a say.
    bool may_call_mpi() const { return threads.may_call_mpi() && !mpi.finalized(); }
    std::string whoami() const;

    MPI_Comm handle;
    const CommunicatorOptions options;
    int rank = 0;
    int size = 1;
    std::vector<int> names;              // by rank; empty where they are the ranks
    std::shared_ptr<const Nodes> nodes;  // once they have been found: see nodes_of
    /// Of the node, once share_exchange_memory has made them: null in it if there is no memory to share.
    std::optional<std::shared_ptr<Mailboxes>> mailboxes;
    ThreadGuard threads;
    FinalizeWatch mpi{finish_retired};
    /// Exchanges under way, in the order in which they were started. All use one tag, and MPI keeps the order
    /// of messages with one tag: so what arrives next from a rank belongs to the first of these that awaits
    /// it.
    std::vector<TreeExchange*> in_flight;
    bool failed = false;
    bool unfinished_collective = false;
    /// Time spent in waits, all in all.
    std::atomic<double> seconds_waited{0};
    std::uint64_t calls = 0;
    /// When show_life last sent something, in seconds of MPI_Wtime.
    double last_sign_of_life = 0;
    /// Sums that have been given tags of their own.
    int sums = 0;

  private:
    void throw_on_notice();
    /// Receives an empty message with that tag, from anyone; the sender, or -1 if there is none.
    int receive_empty(int tag) const;
    /// Tells those who ask that this rank waits.
    void answer_questions() const;

    std::string failure_;
    bool notices_are_due_ = false;
    std::vector<Unfinished> unfinished_;
};

/// How the other classes of this floor reach the state behind a handle.
struct CommunicatorAccess {
    static CommunicatorState& state(const Communicator& communicator) { return *communicator.state_; }
    static Communicator make(std::shared_ptr<CommunicatorState> state) {
        return Communicator(std::move(state));
    }
};

inline CommunicatorState& state_of(const Communicator& communicator) {
    return CommunicatorAccess::state(communicator);
}

/// In its life this thread is inside the communicator, and no other: what every call that communicates begins with.
class Inside {
  public:
    /// Throws UsageError if another thread is, or this one may not be, or MPI is finalized.
    explicit Inside(CommunicatorState& state)
        : Inside(state.mpi.finalized() ? after_finalize(state) : state.threads) {}
    explicit Inside(const Communicator& communicator) : Inside(state_of(communicator)) {}
    explicit Inside(ThreadGuard& threads) : threads_(threads) {
        if (!threads.may_call_mpi()) ThreadGuard::refuse_thread_that_is_not_main();
        entered_ = threads.try_enter();
        if (entered_ == ThreadGuard::Entered::no) threads.refuse_second_thread();
    }

    /// For destructors: waits until the other thread has left, on any thread. Ask may_call_mpi() then.
    static Inside sooner_or_later(CommunicatorState& state) { return {state, 0}; }

    ~Inside() {
        if (entered_ == ThreadGuard::Entered::first) threads_.leave();
    }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

  private:
    Inside(CommunicatorState& state, int);
    static ThreadGuard& after_finalize(const CommunicatorState& state);  // throws

    ThreadGuard& threads_;
    ThreadGuard::Entered entered_;
};

/// A wait for other ranks: it ends in time, and it is counted.
class TimedWait {
  public:
    explicit TimedWait(CommunicatorState& state)
        : state_(state), start_(Deadline::Clock::now()), deadline_(start_, state.options.timeout_seconds) {}
    ~TimedWait() {
        const std::chrono::duration<double> time = Deadline::Clock::now() - start_;
        state_.seconds_waited.store(state_.seconds_waited.load(std::memory_order_relaxed) + time.count(),
                                    std::memory_order_relaxed);
    }
    TimedWait(const TimedWait&) = delete;
    TimedWait& operator=(const TimedWait&) = delete;

    /// Throws CommunicationError if another rank has failed.
    bool time_is_up() { return state_.time_is_up(deadline_); }
    /// The other ranks have shown that they are alive.
    void start_again() { deadline_ = Deadline(state_.options.timeout_seconds); }

  private:
    CommunicatorState& state_;
    Deadline::Clock::time_point start_;
    Deadline deadline_;
};

/// "2.5 s", for errors.
std::string seconds_text(double seconds);
}  // namespace lockstep
