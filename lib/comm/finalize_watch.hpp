/// Whether MPI has been finalized, without asking: with some libraries MPI_Finalized costs as much as the rest of a
/// check. And what is to be done just before.
#pragma once

#include <mpi.h>

#include <atomic>

namespace lockstep {

/// Made while MPI may be called; destroyed then, or after MPI_Finalize.
class FinalizeWatch {
  public:
    /// `before` is called when MPI_Finalize begins, and may still call MPI.
    explicit FinalizeWatch(void (*before)()) : before_(before) {
        MPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, &on_delete, &key_, nullptr);
        MPI_Comm_set_attr(MPI_COMM_SELF, key_, this);
    }
    ~FinalizeWatch() {
        if (finalized()) return;
        before_ = nullptr;
        MPI_Comm_delete_attr(MPI_COMM_SELF, key_);
        MPI_Comm_free_keyval(&key_);
    }
    FinalizeWatch(const FinalizeWatch&) = delete;
    FinalizeWatch& operator=(const FinalizeWatch&) = delete;

    bool finalized() const { return finalized_.load(std::memory_order_relaxed); }

  private:
    /// The first thing that MPI_Finalize does, by the standard, is to delete the attributes of MPI_COMM_SELF.
    static int on_delete(MPI_Comm, int, void* value, void*) {
        auto& watch = *static_cast<FinalizeWatch*>(value);
        if (watch.before_ == nullptr) return MPI_SUCCESS;  // no: the watch ends
        watch.before_();
        MPI_Comm_free_keyval(&watch.key_);
        watch.finalized_.store(true, std::memory_order_relaxed);
        return MPI_SUCCESS;
    }

    void (*before_)();
    std::atomic<bool> finalized_{false};
    int key_ = MPI_KEYVAL_INVALID;
};

}  // namespace lockstep
