#include "retirement.hpp"

#include <lockstep/comm/tags.hpp>

#include <array>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace lockstep {
namespace {

constexpr int farewell_tag = tags::farewell.first;
constexpr int farewell_to_collective_tag = tags::farewell.first + 1;

class Retired {
  public:
    explicit Retired(std::unique_ptr<CommunicatorState> state) : state_(std::move(state)) {}

    /// Whether there is nothing left to do for it.
    bool settle() {
        if (state_->mpi.finalized()) return true;  // no memory is MPI's any more
        if (!state_->may_call_mpi()) return false;
        const auto entered = state_->threads.try_enter();
        if (entered == ThreadGuard::Entered::no) return false;
        const bool settled = free_if_safe();
        if (entered == ThreadGuard::Entered::first) state_->threads.leave();
        return settled;
    }

  private:
    bool free_if_safe() {
        if (has_failed()) {
            say_farewell();
            receive_all();
            if (!all_have_ended_ || farewells_ + 1 < state_->size || !state_->unfinished_is_complete())
                return false;
        }
        MPI_Comm_free(&state_->handle);
        return true;
    }

    /// Also if this rank has not heard of it before.
    bool has_failed() const {
        if (state_->failed || state_->size == 1) return state_->failed;
        constexpr std::array tags{tags::notice.first, farewell_tag, farewell_to_collective_tag};
        // A probe that finds nothing lets MPI fetch what has arrived: the next one finds it.
        for (int look = 0; look < 2; ++look)
            for (const int tag : tags) {
                int found = 0;
                MPI_Iprobe(MPI_ANY_SOURCE, tag, state_->handle, &found, MPI_STATUS_IGNORE);
                if (found) return true;
            }
        return false;
    }

    void say_farewell() {
        if (said_farewell_) return;
        said_farewell_ = true;
        state_->failed = true;
        state_->tell_failure();
        all_have_ended_ = !state_->unfinished_collective;
        for (int other = 0; other < state_->size; ++other)
            if (other != state_->rank)
                state_->send_empty(other, all_have_ended_ ? farewell_tag : farewell_to_collective_tag);
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
            if (status.MPI_TAG == farewell_tag || status.MPI_TAG == farewell_to_collective_tag) {
                ++farewells_;
                if (status.MPI_TAG == farewell_to_collective_tag) all_have_ended_ = false;
            }
            int bytes = 0;
            MPI_Get_count(&status, MPI_BYTE, &bytes);
            const auto nobody_reads = std::make_shared<std::vector<char>>(static_cast<std::size_t>(bytes));
            std::vector<MPI_Request> request{MPI_REQUEST_NULL};
            MPI_Imrecv(nobody_reads->data(), bytes, MPI_BYTE, &message, request.data());
            state_->keep({std::move(request), nobody_reads});
        }
    }

    std::unique_ptr<CommunicatorState> state_;
    bool said_farewell_ = false;
    int farewells_ = 0;           // of others
    bool all_have_ended_ = true;  // no rank, as far as is known, has given up a collective operation
};

struct Yard {
    std::mutex one_at_a_time;
    std::vector<Retired> communicators;
    std::vector<Unfinished> others;
};

/// Not global state that anyone could see: what has to outlive its owners, without an end that could come too early.
Yard& yard() {
    static auto* const only = new Yard;
    return *only;
}

void settle_communicators(Yard& all) {
    remove_done(all.communicators, [](Retired& one) { return one.settle(); });
}

}  // namespace

void retire(CommunicatorState* state) {
    Yard& all = yard();
    const std::lock_guard lock(all.one_at_a_time);
    all.communicators.emplace_back(std::unique_ptr<CommunicatorState>(state));
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

}  // namespace lockstep
