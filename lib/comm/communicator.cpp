#include <lockstep/comm/communicator.hpp>

#include "communicator_state.hpp"
#include "duplicate.hpp"
#include "own_mpi.hpp"
#include "retirement.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/comm/deadline.hpp>
#include <lockstep/comm/replica_map.hpp>
#include <lockstep/comm/tags.hpp>
#include <lockstep/comm/tree_exchange.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <mutex>
#include <numeric>
#include <thread>

namespace lockstep {
namespace {

/// Makes MPI return the errors that belong to no valid communicator, for the life of the object, instead of
/// ending the job. MPI 3 raises them on MPI_COMM_WORLD, MPI 4 on MPI_COMM_SELF. One thread at a time, or a second one
/// would find and restore what the first has set.
class ErrorsReturn {
  public:
    ErrorsReturn() {
        for (std::size_t i = 0; i < communicators_.size(); ++i) {
            MPI_Comm_get_errhandler(communicators_[i], &before_[i]);
            MPI_Comm_set_errhandler(communicators_[i], MPI_ERRORS_RETURN);
        }
    }
    ~ErrorsReturn() {
        for (std::size_t i = 0; i < communicators_.size(); ++i) {
            MPI_Comm_set_errhandler(communicators_[i], before_[i]);
            MPI_Errhandler_free(&before_[i]);
        }
    }
    ErrorsReturn(const ErrorsReturn&) = delete;
    ErrorsReturn& operator=(const ErrorsReturn&) = delete;

  private:
    static std::mutex& one_at_a_time() {
        static std::mutex only;
        return only;
    }

    const std::lock_guard<std::mutex> lock_{one_at_a_time()};
    const std::array<MPI_Comm, 2> communicators_{MPI_COMM_WORLD, MPI_COMM_SELF};
    std::array<MPI_Errhandler, 2> before_{};
};

/// Whether MPI takes the handle for a communicator, as far as it looks; and whether that has two sides.
bool is_communicator(MPI_Comm handle, int& inter) {
    const ErrorsReturn while_asking;
    return MPI_Comm_test_inter(handle, &inter) == MPI_SUCCESS;
}

/// An exchange of labels and nothing else: all ranks are here, and for the same.
template <class Wait>
void meet(const Communicator& communicator, ExchangeKind kind, std::string_view what, Wait wait) {
    const ReplicaMap map(communicator.size(), communicator.size());
    TreeExchange exchange(communicator, map, map.all(), 0, [](double*, const double*) {});
    ExchangeLabel label(what, kind, 0, 0);
    label.call = communicator.next_call();
    exchange.push(0);
    exchange.start(label);
    wait(exchange);
}

void meet(const Communicator& communicator, ExchangeKind kind, std::string_view what) {
    meet(communicator, kind, what, [](TreeExchange& exchange) { exchange.wait(); });
}

/// What MPI works on while a gathering is under way: no memory of the caller's, who is gone if it is given up.
struct Gathering {
    std::vector<char> mine, all;
    std::vector<int> counts, offsets;
};

void gather_bytes(const Communicator& communicator, const void* mine, void* all, std::span<const int> counts,
                  std::string_view what) {
    const auto* const first = static_cast<const char*>(mine);
    const int own = counts[static_cast<std::size_t>(communicator.rank())];
    const auto data = std::make_shared<Gathering>();
    data->mine.assign(first, first + own);
    data->counts.assign(counts.begin(), counts.end());
    data->offsets.resize(counts.size());
    std::exclusive_scan(counts.begin(), counts.end(), data->offsets.begin(), 0);
    data->all.resize(static_cast<std::size_t>(data->offsets.back() + counts.back()));
    MPI_Request request = MPI_REQUEST_NULL;
    try {
        communicator.check(
            MPI_Iallgatherv(data->mine.data(), own, MPI_BYTE, data->all.data(), data->counts.data(),
                            data->offsets.data(), MPI_BYTE, communicator.handle(), &request),
            what);
        communicator.wait(request, what);
    } catch (...) {
        state_of(communicator).keep({{request}, data});
        throw;
    }
    std::ranges::copy(data->all, static_cast<char*>(all));
}

std::shared_ptr<CommunicatorState> share(MPI_Comm duplicate, CommunicatorOptions options) {
    return {new CommunicatorState(duplicate, options), retire};
}

}  // namespace

Communicator::Communicator(MPI_Comm parent, CommunicatorOptions options) {
    int initialized = 0, finalized = 0;
    MPI_Initialized(&initialized);
    MPI_Finalized(&finalized);
    if (!initialized || finalized)
        throw UsageError("a Communicator needs MPI: call MPI_Init first (and not after MPI_Finalize)");
    require_own_mpi();
    ThreadGuard threads;
    const Inside inside(threads);
    if (parent == MPI_COMM_NULL) throw UsageError("a Communicator cannot be made from MPI_COMM_NULL");
    int inter = 0;
    if (!is_communicator(parent, inter))
        throw UsageError("a Communicator cannot be made from this handle: MPI knows no such communicator");
    if (inter) throw UsageError("a Communicator needs an intra-communicator: merge the two sides first");
    if (!(options.timeout_seconds > 0) || !std::isfinite(options.timeout_seconds))
        throw UsageError("the time-out must be a positive number of seconds");
    visit_retired();
    state_ = share(duplicate_in_time(parent, options.timeout_seconds), options);
}

int Communicator::rank() const {
    return state_->rank;
}
int Communicator::size() const {
    return state_->size;
}
MPI_Comm Communicator::handle() const {
    return state_->handle;
}
double Communicator::seconds_waited() const {
    return state_->seconds_waited;
}
double Communicator::timeout_seconds() const {
    return state_->options.timeout_seconds;
}
std::uint64_t Communicator::next_call() const {
    const Inside inside(*this);
    return ++state_->calls;
}

void Communicator::announce_failure(std::string_view why) const {
    const Inside inside(*this);
    state_->announce(whoami() + ": " + std::string(why));
}

int Communicator::name(int rank) const {
    return state_->name(rank);
}

std::string Communicator::whoami() const {
    return state_->whoami();
}

Communicator Communicator::split(int color, int key) const {
    const Inside inside(*this);
    // MPI_Comm_split waits without an end for a rank that does not come: all have come when it is called.
    meet(*this, ExchangeKind::split, "");
    MPI_Comm part = MPI_COMM_NULL;
    check(MPI_Comm_split(handle(), color, key, &part), "splitting a communicator");
    return CommunicatorAccess::make(share(part, state_->options));
}

void Communicator::check(int code, std::string_view what) const {
    if (code == MPI_SUCCESS) return;
    char text[MPI_MAX_ERROR_STRING] = {};
    int length = 0;
    const Inside inside(*this);
    MPI_Error_string(code, text, &length);
    state_->fail(whoami() + ": " + std::string(what) + ": " +
                 std::string(text, static_cast<std::size_t>(length)));
}

void Communicator::wait(MPI_Request& request, std::string_view what) const {
    const Inside inside(*this);
    TimedWait wait(*state_);
    try {
        for (int done = 0;;) {
            check(MPI_Test(&request, &done, MPI_STATUS_IGNORE), what);
            if (done) return;
            if (wait.time_is_up()) state_->fail_on_time(std::string(what), {});
        }
    } catch (...) {
        // For all that is known here.
        state_->give_up_collective();
        throw;
    }
}

void Communicator::wait_for_all(std::string_view what) const {
    const Inside inside(*this);
    TimedWait wait(*state_);
    meet(*this, ExchangeKind::gather, what, [&](TreeExchange& exchange) {
        while (!exchange.poll()) {
            if (state_->saw_life()) wait.start_again();
            if (wait.time_is_up()) state_->fail_on_time(std::string(what), {});
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    });
    state_->saw_life();
}

void Communicator::show_life(int first) const {
    const Inside inside(*this);
    const double now = MPI_Wtime();
    if (now - state_->last_sign_of_life < std::min(1.0, timeout_seconds() / 8)) return;
    state_->last_sign_of_life = now;
    for (int other = first; other < size(); ++other) state_->send_empty(other, tags::heartbeat.first);
}

void Communicator::all_gather(const void* mine, void* all, std::span<const int> counts,
                              std::string_view what) const {
    const Inside inside(*this);
    meet(*this, ExchangeKind::gather, what);
    gather_bytes(*this, mine, all, counts, what);
}

std::vector<std::string> Communicator::all_gather(std::string_view text, std::string_view what) const {
    const Inside inside(*this);
    meet(*this, ExchangeKind::gather, what);
    const auto ranks = static_cast<std::size_t>(size());
    int length = static_cast<int>(text.size());
    std::vector<int> lengths(ranks);
    const std::vector<int> one_each(ranks, static_cast<int>(sizeof(int)));
    gather_bytes(*this, &length, lengths.data(), one_each, what);

    std::string joined(static_cast<std::size_t>(std::accumulate(lengths.begin(), lengths.end(), 0)), '\0');
    gather_bytes(*this, text.data(), joined.data(), lengths, what);
    std::vector<std::string> texts;
    std::size_t offset = 0;
    for (const int count : lengths) {
        texts.push_back(joined.substr(offset, static_cast<std::size_t>(count)));
        offset += static_cast<std::size_t>(count);
    }
    return texts;
}

}  // namespace lockstep
