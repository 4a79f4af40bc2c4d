#include "communicator_state.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/comm/communicator.hpp>
#include <lockstep/comm/deadline.hpp>
#include <lockstep/comm/replica_map.hpp>
#include <lockstep/comm/tags.hpp>
#include <lockstep/comm/tree_exchange.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <functional>
#include <mutex>
#include <numeric>
#include <sstream>
#include <thread>
#include <utility>

namespace lockstep {
namespace {

constexpr int notice_tag = tags::notice.first;
constexpr int notice_bytes = 1024;

/// Makes MPI return the errors that belong to no valid communicator, for the life of the object, instead of
/// ending the job. MPI 3 raises them on MPI_COMM_WORLD, MPI 4 on MPI_COMM_SELF.
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
    const std::array<MPI_Comm, 2> communicators_{MPI_COMM_WORLD, MPI_COMM_SELF};
    std::array<MPI_Errhandler, 2> before_{};
};

/// Whether MPI takes the handle for a communicator, as far as it looks; and whether that has two sides.
bool is_communicator(MPI_Comm handle, int& inter) {
    const ErrorsReturn while_asking;
    return MPI_Comm_test_inter(handle, &inter) == MPI_SUCCESS;
}

}  // namespace

Communicator::State::State(MPI_Comm duplicate, CommunicatorOptions chosen)
    : handle(duplicate), options(chosen) {
    MPI_Comm_set_errhandler(handle, MPI_ERRORS_RETURN);
    MPI_Comm_rank(handle, &rank);
    MPI_Comm_size(handle, &size);
}

Communicator::State::~State() {
    int finalized = 0;
    MPI_Finalized(&finalized);
    if (failed)
        keep_for_mpi(std::make_shared<MPI_Comm>(handle));
    else if (!finalized)
        MPI_Comm_free(&handle);
}

void Communicator::State::announce(const std::string& what) {
    // Only the first failure is news: what follows from it would bury it.
    if (failed) return;
    failed = true;
    failure = what;
    send_notices();
}

void Communicator::State::fail(const std::string& what) {
    announce(what);
    throw CommunicationError(what);
}

void Communicator::State::fail_on_time(const std::string& what, const std::vector<int>& missing) {
    const std::vector<int> culprits = those_without_answer(missing);
    fail("rank " + std::to_string(rank) + " of " + std::to_string(size) + ": time-out after " +
         seconds_text(options.timeout_seconds) + " at " + what + ": " +
         (culprits.empty() ? std::string("not every rank came; one")
                           : ranks_text(culprits) + " did not come, which") +
         " has failed, hangs, or took another way");
}

void Communicator::State::require_mpi() {
    int finalized = 0;
    MPI_Finalized(&finalized);
    if (finalized) throw UsageError("MPI has been finalized: ranks can exchange nothing any more");
}

void Communicator::State::check_usable() const {
    if (failed)
        throw CommunicationError(
            "this communicator has failed before" +
            (failure.empty() ? std::string(": an exchange was given up half way") : " (" + failure + ")"));
}

bool Communicator::State::time_is_up(Deadline& deadline) {
    const bool up = deadline.passed();
    if (deadline.looked()) {
        throw_on_notice();
        answer_questions();
        // Where others want the core, among them perhaps the rank we wait for, waiting must not cost them a
        // time slice; where nobody does, this returns at once.
        std::this_thread::yield();
    }
    return up;
}

bool Communicator::State::saw_life() {
    bool any = false;
    while (receive_empty(tags::heartbeat.first) >= 0) any = true;
    return any;
}

void Communicator::State::send_empty(int to, int tag) const {
    // Empty, so MPI takes it at once, and nobody waits for those that are not there to receive.
    MPI_Request request = MPI_REQUEST_NULL;
    if (MPI_Isend(nullptr, 0, MPI_BYTE, to, tag, handle, &request) == MPI_SUCCESS) MPI_Request_free(&request);
}

int Communicator::State::receive_empty(int tag) const {
    int found = 0;
    MPI_Status status;
    if (MPI_Iprobe(MPI_ANY_SOURCE, tag, handle, &found, &status) != MPI_SUCCESS || !found) return -1;
    MPI_Recv(nullptr, 0, MPI_BYTE, status.MPI_SOURCE, tag, handle, MPI_STATUS_IGNORE);
    return status.MPI_SOURCE;
}

void Communicator::State::answer_questions() const {
    for (int other; (other = receive_empty(tags::question.first)) >= 0;)
        send_empty(other, tags::answer.first);
}

std::vector<int> Communicator::State::those_without_answer(const std::vector<int>& suspects) {
    std::vector<bool> answered(static_cast<std::size_t>(size));
    answered[static_cast<std::size_t>(rank)] = true;
    for (int other = 0; other < size; ++other)
        if (other != rank) send_empty(other, tags::question.first);
    const double end = MPI_Wtime() + std::min(1.0, options.timeout_seconds / 2);
    while (std::ranges::find(answered, false) != answered.end() && MPI_Wtime() < end) {
        throw_on_notice();
        answer_questions();
        for (int other; (other = receive_empty(tags::answer.first)) >= 0;)
            answered[static_cast<std::size_t>(other)] = true;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    std::vector<int> silent;
    for (int other = 0; other < size; ++other)
        if (!answered[static_cast<std::size_t>(other)] &&
            (suspects.empty() || std::ranges::find(suspects, other) != suspects.end()))
            silent.push_back(other);
    return silent.empty() ? suspects : silent;
}

void Communicator::State::send_notices() const {
    // Short enough to be buffered by MPI: nobody here will help it on its way any more.
    const auto text = std::make_shared<std::string>(failure.substr(0, notice_bytes));
    keep_for_mpi(text);
    const auto requests = std::make_shared<std::vector<MPI_Request>>();
    keep_for_mpi(requests);
    for (int other = 0; other < size; ++other)
        if (other != rank)
            MPI_Isend(text->data(), static_cast<int>(text->size()), MPI_CHAR, other, notice_tag, handle,
                      &requests->emplace_back(MPI_REQUEST_NULL));
}

void Communicator::State::throw_on_notice() {
    int found = 0;
    MPI_Status status;
    if (MPI_Iprobe(MPI_ANY_SOURCE, notice_tag, handle, &found, &status) != MPI_SUCCESS || !found) return;
    std::string text(notice_bytes, '\0');
    int length = 0;
    MPI_Get_count(&status, MPI_CHAR, &length);
    MPI_Recv(text.data(), notice_bytes, MPI_CHAR, status.MPI_SOURCE, notice_tag, handle, MPI_STATUS_IGNORE);
    text.resize(static_cast<std::size_t>(length));
    failed = true;
    failure = "rank " + std::to_string(rank) + " of " + std::to_string(size) + ": rank " +
              std::to_string(status.MPI_SOURCE) + " has failed: " + text;
    throw CommunicationError(failure);
}

std::string seconds_text(double seconds) {
    std::ostringstream text;
    text << seconds << " s";
    return text.str();
}

std::string ranks_text(std::vector<int> ranks) {
    std::ranges::sort(ranks);
    ranks.erase(std::unique(ranks.begin(), ranks.end()), ranks.end());
    std::string text = "rank";
    for (const int rank : ranks) text += (rank == ranks.front() ? " " : ", ") + std::to_string(rank);
    return text;
}

void keep_for_mpi(std::shared_ptr<void> memory) {
    // Not global state that anyone could see: a leak on purpose, which leak checkers can tell from the
    // others.
    static std::mutex one_at_a_time;
    static auto* const kept = new std::vector<std::shared_ptr<void>>;
    const std::lock_guard lock(one_at_a_time);
    kept->push_back(std::move(memory));
}

Communicator::Communicator(MPI_Comm parent, CommunicatorOptions options) {
    int initialized = 0, finalized = 0;
    MPI_Initialized(&initialized);
    MPI_Finalized(&finalized);
    if (!initialized || finalized)
        throw UsageError("a Communicator needs MPI: call MPI_Init first (and not after MPI_Finalize)");
    if (parent == MPI_COMM_NULL) throw UsageError("a Communicator cannot be made from MPI_COMM_NULL");
    int inter = 0;
    if (!is_communicator(parent, inter))
        throw UsageError("a Communicator cannot be made from this handle: MPI knows no such communicator");
    if (inter) throw UsageError("a Communicator needs an intra-communicator: merge the two sides first");
    if (!(options.timeout_seconds > 0) || !std::isfinite(options.timeout_seconds))
        throw UsageError("the time-out must be a positive number of seconds");
    MPI_Comm duplicate = MPI_COMM_NULL;
    if (MPI_Comm_dup(parent, &duplicate) != MPI_SUCCESS)
        throw CommunicationError("MPI_Comm_dup failed: is the communicator valid?");
    state_ = std::make_shared<State>(duplicate, options);
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
    return ++state_->calls;
}

void Communicator::announce_failure(std::string_view why) const {
    state_->announce(whoami() + ": " + std::string(why));
}

std::string Communicator::whoami() const {
    return "rank " + std::to_string(rank()) + " of " + std::to_string(size());
}

Communicator Communicator::split(int color, int key) const {
    // MPI_Comm_split waits without an end for a rank that does not come: all have come when it is called.
    meet(ExchangeKind::split, "");
    MPI_Comm part = MPI_COMM_NULL;
    check(MPI_Comm_split(handle(), color, key, &part), "splitting a communicator");
    return Communicator(std::make_shared<State>(part, state_->options));
}

void Communicator::check(int code, std::string_view what) const {
    if (code == MPI_SUCCESS) return;
    char text[MPI_MAX_ERROR_STRING] = {};
    int length = 0;
    MPI_Error_string(code, text, &length);
    state_->fail(whoami() + ": " + std::string(what) + ": " +
                 std::string(text, static_cast<std::size_t>(length)));
}

void Communicator::wait(MPI_Request& request, std::string_view what) const {
    const WaitTimer timer(state_->seconds_waited);
    Deadline deadline(timeout_seconds());
    for (int done = 0;;) {
        check(MPI_Test(&request, &done, MPI_STATUS_IGNORE), what);
        if (done) return;
        if (!state_->time_is_up(deadline)) continue;
        state_->fail_on_time(std::string(what), {});
    }
}

/// An exchange of labels and nothing else: all ranks are here, and for the same.
void Communicator::meet(ExchangeKind kind, std::string_view what,
                        const std::function<void(TreeExchange&)>& wait) const {
    const ReplicaMap map(size(), size());
    TreeExchange exchange(*this, map, map.all(), 0, [](double*, const double*) {});
    ExchangeLabel label(what, kind, 0, 0);
    label.call = next_call();
    exchange.push(0);
    exchange.start(label);
    wait(exchange);
}

void Communicator::meet(ExchangeKind kind, std::string_view what) const {
    meet(kind, what, [](TreeExchange& exchange) { exchange.wait(); });
}

void Communicator::wait_for_all(std::string_view what) const {
    const WaitTimer timer(state_->seconds_waited);
    meet(ExchangeKind::gather, what, [&](TreeExchange& exchange) {
        Deadline deadline(timeout_seconds());
        while (!exchange.poll()) {
            if (state_->saw_life()) deadline = Deadline(timeout_seconds());
            if (state_->time_is_up(deadline)) state_->fail_on_time(std::string(what), {});
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    });
    state_->saw_life();
}

void Communicator::show_life(int first) const {
    const double now = MPI_Wtime();
    if (now - state_->last_sign_of_life < std::min(1.0, timeout_seconds() / 8)) return;
    state_->last_sign_of_life = now;
    for (int other = first; other < size(); ++other) state_->send_empty(other, tags::heartbeat.first);
}

void Communicator::gather_bytes(const void* mine, void* all, std::span<const int> counts,
                                std::string_view what) const {
    std::vector<int> offsets(counts.size());
    std::exclusive_scan(counts.begin(), counts.end(), offsets.begin(), 0);
    MPI_Request request = MPI_REQUEST_NULL;
    check(MPI_Iallgatherv(mine, counts[static_cast<std::size_t>(rank())], MPI_BYTE, all, counts.data(),
                          offsets.data(), MPI_BYTE, handle(), &request),
          what);
    wait(request, what);
}

void Communicator::all_gather(const void* mine, void* all, std::span<const int> counts,
                              std::string_view what) const {
    meet(ExchangeKind::gather, what);
    gather_bytes(mine, all, counts, what);
}

std::vector<std::string> Communicator::all_gather(std::string_view text, std::string_view what) const {
    meet(ExchangeKind::gather, what);
    const auto ranks = static_cast<std::size_t>(size());
    int length = static_cast<int>(text.size());
    std::vector<int> lengths(ranks);
    const std::vector<int> one_each(ranks, static_cast<int>(sizeof(int)));
    gather_bytes(&length, lengths.data(), one_each, what);

    std::string joined(static_cast<std::size_t>(std::accumulate(lengths.begin(), lengths.end(), 0)), '\0');
    gather_bytes(text.data(), joined.data(), lengths, what);
    std::vector<std::string> texts;
    std::size_t offset = 0;
    for (const int count : lengths) {
        texts.push_back(joined.substr(offset, static_cast<std::size_t>(count)));
        offset += static_cast<std::size_t>(count);
    }
    return texts;
}

}  // namespace lockstep
