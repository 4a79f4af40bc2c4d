/// An executor of std::threads. Header-only: the library itself starts no thread.
///
/// Every thread first takes the tasks of a stretch of its own, and then helps the others: from pass to pass the same
/// thread gets the same part of an array, which its core's cache may still hold.
#pragma once

#include <lockstep/base/executor.hpp>
#include <lockstep/base/export.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace lockstep {

/// One thread at a time calls run.
class ThreadPool final : public Executor {
  public:
    /// `threads` threads, the one that calls run among them. The others look out for work for `patience` before they
    /// sleep: to wake them takes longer than many a pass. With more threads than cores, give 0: looking out takes the
    /// core from those that work. Throws std::system_error if the system has not that many threads.
    explicit ThreadPool(int threads, std::chrono::microseconds patience = std::chrono::microseconds(50))
        : threads_(std::max(1, threads)),
          patience_(patience),
          stretches_(std::make_unique<Stretch[]>(static_cast<std::size_t>(threads_))) {
        try {
            for (int me = 1; me < threads_; ++me) workers_.emplace_back([this, me] { work(me); });
        } catch (...) {  // more threads than there can be: those that run already would end the program
            end();
            throw;
        }
    }

    ~ThreadPool() override { end(); }

    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    int threads() const override { return threads_; }

    void run(int tasks, ExecutorTask task) override {
        if (tasks <= 1 || threads_ == 1) {
            for (int i = 0; i < tasks; ++i) task(i);
            return;
        }
        task_ = task;
        for (int t = 0; t < threads_; ++t) {
            stretches_[t].next = first_of(t, tasks);
            stretches_[t].end = first_of(t + 1, tasks);
        }
        open_round();
        take_tasks(0);
        // Who has not begun by now comes too late; who has, is waited for.
        ++round_;
        await([this] { return inside_ == 0; },
              [this] {
                  if (const int inside = inside_; inside != 0) inside_.wait(inside);
              });
    }

  private:
    /// The tasks with which a thread begins, as far as nobody has taken them.
    struct alignas(64) Stretch {
        std::atomic<int> next{0};
        int end = 0;
    };

    int first_of(int thread, int tasks) const {
        return static_cast<int>(static_cast<std::int64_t>(tasks) * thread / threads_);
    }

    void end() {
        ends_ = true;
        open_round();
        for (std::thread& worker : workers_) worker.join();
    }

    void open_round() {
        ++round_;
        round_.notify_all();
    }

    void take_tasks(int me) {
        for (int i = 0; i < threads_; ++i) {
            Stretch& stretch = stretches_[(me + i) % threads_];
            for (int task = stretch.next++; task < stretch.end; task = stretch.next++) task_(task);
        }
    }

    void work(int me) {
        for (std::uint32_t seen = 0;;) {
            await([&] { return round_ != seen; }, [&] { round_.wait(seen); });
            seen = round_;
            if (ends_) return;
            // In this order: either run sees that somebody is inside, or its round is found closed.
            ++inside_;
            if (round_ == seen && seen % 2 == 1) take_tasks(me);
            if (--inside_ == 0) inside_.notify_all();
        }
    }

    /// Until `done` is true: looks out for a while, then sleeps.
    template <class Done, class Sleep>
    void await(Done done, Sleep sleep) const {
        const auto end = std::chrono::steady_clock::now() + patience_;
        while (!done()) {
            for (int i = 0; i < 32 && !done(); ++i) pause();
            if (!done() && std::chrono::steady_clock::now() >= end) sleep();
        }
    }

    static void pause() {
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ __volatile__("yield");
#endif
    }

    const int threads_;
    const std::chrono::microseconds patience_;
    std::unique_ptr<Stretch[]> stretches_;
    ExecutorTask task_{};
    std::atomic<bool> ends_{false};
    std::atomic<std::uint32_t> round_{0};  // odd: open
    std::atomic<int> inside_{0};           // workers that may take tasks
    std::vector<std::thread> workers_;
};

}  // namespace lockstep
