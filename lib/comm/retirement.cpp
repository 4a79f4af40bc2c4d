#include "retirement.hpp"

#include "communicator_state.hpp"

#include <lockstep/comm/deadline.hpp>
#include <lockstep/comm/tags.hpp>

#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace lockstep {
namespace {

constexpr int farewell_tag = tags::farewell.first;
constexpr int farewell_to_collective_tag = tags::farewell.first + 1;

class Retired {
  public:
    explicit Retired(std::unique_ptr<CommunicatorState> state) : state_(std::move(state)) {}

    /// Whether there is nothing left to do.
    bool settle() {
        if (freed_ || state_->mpi.finalized()) return true;
        if (!state_->may_call_mpi()) return false;
        const auto entered = state_->threads.try_enter();
        if (entered == ThreadGuard::Entered::no) return false;
        if (may_be_freed()) {
            MPI_Comm_free(&state_->handle);
            freed_ = true;
        }
        if (entered == ThreadGuard::Entered::first) state_->threads.leave();
        return freed_;
    }

  private:
    bool may_be_freed() {
        if (state_->size == 1) return true;
        if (!has_voted_) vote();
        receive_all();
        if (a_collective_was_given_up_ || !vote_is_over()) return false;
        if (!some_rank_failed_) return true;
        say_farewell();
        return farewells_ + 1 == state_->size && state_->unfinished_is_complete();
    }

    void vote() {
        has_voted_ = true;
        a_collective_was_given_up_ = state_->unfinished_collective;
        if (state_->failed) {
            state_->tell_failure();
            say_farewell();
        }
        i_failed_ = state_->failed ? 1 : 0;
        if (!a_collective_was_given_up_)
            MPI_Iallreduce(&i_failed_, &some_rank_failed_, 1, MPI_INT, MPI_MAX, state_->handle, &vote_);
    }

    bool vote_is_over() {
        int over = 0;
        return MPI_Test(&vote_, &over, MPI_STATUS_IGNORE) == MPI_SUCCESS && over != 0;
    }

    void say_farewell() {
        if (said_farewell_) return;
        said_farewell_ = true;
        for (int other = 0; other < state_->size; ++other)
            if (other != state_->rank)
                state_->send_empty(other,
                                   a_collective_was_given_up_ ? farewell_to_collective_tag : farewell_tag);
    }

    void receive_all() {
        for (;;) {
            int found = 0;
            MPI_Message message = MPI_MESSAGE_NULL;
            MPI_Status status;
            if (MPI_Improbe(MPI_ANY_SOURCE, MPI_ANY_TAG, state_->handle, &found, &message, &status) !=
                    MPI_SUCCESS ||
                !found)
                return;
            const bool collective = status.MPI_TAG == farewell_to_collective_tag;
            if (collective) a_collective_was_given_up_ = true;
            if (collective || status.MPI_TAG == farewell_tag) ++farewells_;
            int bytes = 0;
            MPI_Get_count(&status, MPI_BYTE, &bytes);
            const auto nobody_reads = std::make_shared<std::vector<char>>(static_cast<std::size_t>(bytes));
            std::vector<MPI_Request> request{MPI_REQUEST_NULL};
            MPI_Imrecv(nobody_reads->data(), bytes, MPI_BYTE, &message, request.data());
            state_->keep({std::move(request), nobody_reads});
        }
    }

    std::unique_ptr<CommunicatorState> state_;
    bool freed_ = false;
    bool has_voted_ = false;
    MPI_Request vote_ = MPI_REQUEST_NULL;
    int i_failed_ = 0;
    int some_rank_failed_ = 0;
    bool said_farewell_ = false;
    int farewells_ = 0;  // of others
    bool a_collective_was_given_up_ = false;
};

/// Not global state that anyone could see: what has to outlive its owners, without an end that could come too early.
struct Yard {
    std::mutex one_at_a_time;
    std::vector<std::unique_ptr<Retired>> communicators;
    std::vector<Unfinished> others;
    bool finished = false;
};

Yard& yard() {
    static auto* const only = new Yard;
    return *only;
}

void settle_communicators(Yard& all) {
    remove_done(all.communicators, [](const auto& one) { return one->settle(); });
}

}  // namespace

void retire(CommunicatorState* state) {
    Yard& all = yard();
    const std::lock_guard lock(all.one_at_a_time);
    all.communicators.push_back(std::make_unique<Retired>(std::unique_ptr<CommunicatorState>(state)));
    settle_communicators(all);
}

void keep_until_complete(Unfinished unfinished) {
    Yard& all = yard();
    const std::lock_guard lock(all.one_at_a_time);
    all.others.push_back(std::move(unfinished));
}

void visit_retired() {
    Yard& all = yard();
    const std::lock_guard lock(all.one_at_a_time);
    remove_done(all.others, [](Unfinished& one) { return one.complete(); });
    settle_communicators(all);
}

void finish_retired() {
    Yard& all = yard();
    const std::lock_guard lock(all.one_at_a_time);
    if (all.finished) return;
    all.finished = true;
    // What is settled stays until MPI_Finalize has told each state's watch.
    const auto settle_all = [&] {
        bool settled = true;
        for (const auto& one : all.communicators) settled = one->settle() && settled;
        return settled;
    };
    constexpr double a_moment = 1;  // seconds
    for (Deadline deadline(a_moment); !settle_all() && !deadline.passed();) std::this_thread::yield();
}

}  // namespace lockstep
