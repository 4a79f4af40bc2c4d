#include "communicator_state.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/comm/tags.hpp>

#include <algorithm>
#include <chrono>
#include <set>
#include <sstream>
#include <thread>
#include <utility>

namespace lockstep {
namespace {

constexpr int notice_tag = tags::notice.first;
constexpr int notice_bytes = 1024;

}  // namespace

CommunicatorState::CommunicatorState(MPI_Comm duplicate, CommunicatorOptions chosen)
    : handle(duplicate), options(chosen) {
    MPI_Comm_set_errhandler(handle, MPI_ERRORS_RETURN);
    MPI_Comm_rank(handle, &rank);
    MPI_Comm_size(handle, &size);
}

std::string CommunicatorState::whoami() const {
    return "rank " + std::to_string(name(rank)) + " of " + std::to_string(size);
}

void CommunicatorState::announce(const std::string& what) {
    // Only the first failure is news: what follows from it would bury it.
    if (failed) return;
    failed = true;
    failure_ = what;
    notices_are_due_ = true;
    if (may_call_mpi()) tell_failure();
}

void CommunicatorState::fail(const std::string& what) {
    announce(what);
    throw CommunicationError(what);
}

void CommunicatorState::fail_on_time(const std::string& what, const std::vector<int>& missing) {
    const std::vector<int> culprits = those_without_answer(missing);
    fail(whoami() + ": time-out after " + seconds_text(options.timeout_seconds) + " at " + what + ": " +
         (culprits.empty() ? std::string("not every rank came; one")
                           : ranks_text(culprits) + " did not come, which") +
         " has failed, hangs, or took another way");
}

void CommunicatorState::give_up(const std::string& what, Unfinished unfinished) {
    keep(std::move(unfinished));
    announce(whoami() + ": " + what + " was given up half way");
    if (may_call_mpi()) unfinished_is_complete();  // cancels what can be
}

bool CommunicatorState::unfinished_is_complete() {
    remove_done(unfinished_, [](Unfinished& one) { return one.complete(); });
    return unfinished_.empty();
}

void CommunicatorState::check_usable() const {
    if (failed) throw CommunicationError("this communicator has failed before (" + failure_ + ")");
}

bool CommunicatorState::time_is_up(Deadline& deadline) {
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

bool CommunicatorState::saw_life() {
    bool any = false;
    while (receive_empty(tags::heartbeat.first) >= 0) any = true;
    return any;
}

void CommunicatorState::send_empty(int to, int tag) const {
    // Empty, so MPI takes it at once, and nobody waits for those that are not there to receive.
    MPI_Request request = MPI_REQUEST_NULL;
    if (MPI_Isend(nullptr, 0, MPI_BYTE, to, tag, handle, &request) == MPI_SUCCESS) MPI_Request_free(&request);
}

int CommunicatorState::receive_empty(int tag) const {
    int found = 0;
    MPI_Status status;
    if (MPI_Iprobe(MPI_ANY_SOURCE, tag, handle, &found, &status) != MPI_SUCCESS || !found) return -1;
    MPI_Recv(nullptr, 0, MPI_BYTE, status.MPI_SOURCE, tag, handle, MPI_STATUS_IGNORE);
    return status.MPI_SOURCE;
}

void CommunicatorState::answer_questions() const {
    for (int other; (other = receive_empty(tags::question.first)) >= 0;)
        send_empty(other, tags::answer.first);
}

std::vector<int> CommunicatorState::those_without_answer(const std::vector<int>& suspects) {
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
    std::vector<int> silent, silent_suspects;
    for (int other = 0; other < size; ++other) {
        if (answered[static_cast<std::size_t>(other)]) continue;
        silent.push_back(other);
        if (std::ranges::find(suspects, other) != suspects.end()) silent_suspects.push_back(other);
    }
    // A suspect that waits as well does so for one that is silent.
    if (!silent_suspects.empty()) return silent_suspects;
    return silent.empty() ? suspects : silent;
}

void CommunicatorState::tell_failure() {
    if (!notices_are_due_) return;
    notices_are_due_ = false;
    // Short enough to be buffered by MPI: nobody here will help it on its way any more.
    const auto text = std::make_shared<std::string>(failure_.substr(0, notice_bytes));
    std::vector<MPI_Request> requests;
    for (int other = 0; other < size; ++other)
        if (other != rank)
            MPI_Isend(text->data(), static_cast<int>(text->size()), MPI_CHAR, other, notice_tag, handle,
                      &requests.emplace_back(MPI_REQUEST_NULL));
    keep({std::move(requests), text});
}

void CommunicatorState::throw_on_notice() {
    int found = 0;
    MPI_Status status;
    if (MPI_Iprobe(MPI_ANY_SOURCE, notice_tag, handle, &found, &status) != MPI_SUCCESS || !found) return;
    std::string text(notice_bytes, '\0');
    int length = 0;
    MPI_Get_count(&status, MPI_CHAR, &length);
    MPI_Recv(text.data(), notice_bytes, MPI_CHAR, status.MPI_SOURCE, notice_tag, handle, MPI_STATUS_IGNORE);
    text.resize(static_cast<std::size_t>(length));
    failed = true;
    failure_ = whoami() + ": rank " + std::to_string(name(status.MPI_SOURCE)) + " has failed: " + text;
    throw CommunicationError(failure_);
}

std::string seconds_text(double seconds) {
    std::ostringstream text;
    text << seconds << " s";
    return text.str();
}

std::string CommunicatorState::ranks_text(const std::vector<int>& ranks) const {
    std::set<int> all;
    for (const int one : ranks) all.insert(name(one));
    std::string text = "rank";
    for (const int one : all) text += (one == *all.begin() ? " " : ", ") + std::to_string(one);
    return text;
}

Inside::Inside(CommunicatorState& state, int) : threads_(state.threads) {
    while ((entered_ = threads_.try_enter()) == ThreadGuard::Entered::no)
        std::this_thread::sleep_for(std::chrono::microseconds(100));
}

ThreadGuard& Inside::after_finalize(const CommunicatorState& state) {
    throw UsageError(
        state.whoami() +
        ": MPI has been finalized, and nothing can be exchanged any more: do so before MPI_Finalize");
}

}  // namespace lockstep
