/// Whether MPI has been finalized, without asking: with some libraries MPI_Finalized costs as much as the rest of a check.
#pragma once

#include <mpi.h>

#include <atomic>

namespace lockstep {

/// Made and destroyed while MPI may be called, or destroyed after MPI_Finalize.
class FinalizeWatch {
  public:
    FinalizeWatch() {
        MPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, &on_delete, &key_, nullptr);
        MPI_Comm_set_attr(MPI_COMM_SELF, key_, &finalized_);
    }
    ~FinalizeWatch() {
        if (finalized()) return;
        MPI_Comm_delete_attr(MPI_COMM_SELF, key_);
        MPI_Comm_free_keyval(&key_);
    }
    FinalizeWatch(const FinalizeWatch&) = delete;
    FinalizeWatch& operator=(const FinalizeWatch&) = delete;

    bool finalized() const { return finalized_.load(std::memory_order_relaxed); }

  private:
    /// The first thing that MPI_Finalize does, as the standard has it, is to free MPI_COMM_SELF's attributes.
    static int on_delete(MPI_Comm, int, void* value, void*) {
        static_cast<std::atomic<bool>*>(value)->store(true, std::memory_order_relaxed);
        return MPI_SUCCESS;
    }

    std::atomic<bool> finalized_{false};
    int key_ = MPI_KEYVAL_INVALID;
};

}  // namespace lockstep
