/// Which threads may use a communicator, and that they do so one at a time: found out before MPI could be harmed.
#pragma once

#include <atomic>
#include <thread>

namespace lockstep {

/// Of one communicator. How MPI was initialized decides who may enter:
///     MPI_THREAD_SINGLE, FUNNELED   the main thread (the one that initialized MPI)
///     MPI_THREAD_SERIALIZED         one thread at a time, over all communicators of the process
///     MPI_THREAD_MULTIPLE           one thread at a time
/// A thread that is in already may enter again. What it costs: one atomic exchange each time.
class ThreadGuard {
  public:
    /// MPI is initialized, and not finalized. Throws UsageError on a thread that may not call it.
    ThreadGuard();
    ThreadGuard(const ThreadGuard&) = delete;
    ThreadGuard& operator=(const ThreadGuard&) = delete;

    /// Whether this thread is one that may call MPI at all.
    bool may_call_mpi() const { return !main_only_ || std::this_thread::get_id() == main_; }

    enum class Entered { no, first, again };

    /// If a thread of the right kind is not in; after `first`, leave() is due.
    Entered try_enter() {
        const std::thread::id me = std::this_thread::get_id();
        if (inside_->load(std::memory_order_relaxed) == me) return Entered::again;
        std::thread::id nobody;
        return inside_->compare_exchange_strong(nobody, me, std::memory_order_acquire) ? Entered::first
                                                                                       : Entered::no;
    }
    void leave() { inside_->store(std::thread::id(), std::memory_order_release); }

    /// Throw UsageError that says what is wrong and what to do.
    [[noreturn]] void refuse_second_thread() const;
    [[noreturn]] static void refuse_thread_that_is_not_main();

  private:
    std::atomic<std::thread::id> own_{};
    std::atomic<std::thread::id>* inside_ = &own_;
    bool main_only_ = false;
    std::thread::id main_{};
};

}  // namespace lockstep
