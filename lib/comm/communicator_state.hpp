/// What all handles on one duplicated communicator share.
#pragma once

#include <lockstep/comm/communicator.hpp>
#include <lockstep/comm/deadline.hpp>

#include <mpi.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace lockstep {

class TreeExchange;

class CommunicatorState {
  public:
    CommunicatorState(MPI_Comm duplicate, CommunicatorOptions chosen);
    ~CommunicatorState();
    CommunicatorState(const CommunicatorState&) = delete;
    CommunicatorState& operator=(const CommunicatorState&) = delete;

    /// Remembers the failure and tells the other ranks.
    void announce(const std::string& what);
    /// Announces, and throws CommunicationError.
    [[noreturn]] void fail(const std::string& what);
    /// Fails because the time was up at `what`. Names the ranks that did not come: `missing` where these are
    /// known, and of them those alone that do not even wait elsewhere, if there are any.
    [[noreturn]] void fail_on_time(const std::string& what, const std::vector<int>& missing);
    /// Asks all ranks whether they wait, too: those of the suspects (where there are none: of all) that do not
    /// answer within a moment. The suspects themselves where all answer.
    std::vector<int> those_without_answer(const std::vector<int>& suspects);
    /// Throws if the communicator has failed before.
    void check_usable() const;
    /// Receives the signs of life that have come; whether there were any.
    bool saw_life();
    /// For loops that wait: whether the time is up. Throws CommunicationError if another rank has failed.
    bool time_is_up(Deadline& deadline);

    MPI_Comm handle;
    CommunicatorOptions options;
    int rank = 0;
    int size = 1;
    /// Exchanges under way, in the order in which they were started. All use one tag, and MPI keeps the order
    /// of messages with one tag: so what arrives next from a rank belongs to the first of these that awaits
    /// it.
    std::vector<TreeExchange*> in_flight;
    /// After a failed exchange requests may be pending for ever: then the communicator is never freed.
    bool failed = false;
    /// Time spent in waits, all in all.
    double seconds_waited = 0;
    std::string failure;
    std::uint64_t calls = 0;
    /// When show_life last sent something, in seconds of MPI_Wtime.
    double last_sign_of_life = 0;
    /// Sums that have been given tags of their own.
    int sums = 0;

    void send_empty(int to, int tag) const;

  private:
    void throw_on_notice();
    void send_notices() const;
    /// Receives an empty message with that tag, from anyone; the sender, or -1 if there is none.
    int receive_empty(int tag) const;
    /// Tells those who ask that this rank waits.
    void answer_questions() const;
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

/// Adds the time of its life to a sum.
class WaitTimer {
  public:
    explicit WaitTimer(double& sum) : sum_(sum), start_(MPI_Wtime()) {}
    ~WaitTimer() { sum_ += MPI_Wtime() - start_; }
    WaitTimer(const WaitTimer&) = delete;
    WaitTimer& operator=(const WaitTimer&) = delete;

  private:
    double& sum_;
    double start_;
};

/// "2.5 s", for errors.
std::string seconds_text(double seconds);
/// "rank 1, 3": each once, in order.
std::string ranks_text(std::vector<int> ranks);

/// Keeps memory to the end of the program: what MPI may still read or write after an exchange was given up.
void keep_for_mpi(std::shared_ptr<void> memory);

}  // namespace lockstep
