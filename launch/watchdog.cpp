#include "watchdog.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>

namespace lockstep::launch {

Watchdog::Watchdog(double seconds) : thread_([this, seconds] { wait(seconds); }) {}

Watchdog::~Watchdog() {
    {
        const std::lock_guard lock(mutex_);
        goes_ = true;
    }
    gone_.notify_all();
    thread_.join();
}

void Watchdog::watch(const std::string& what) {
    const std::lock_guard lock(mutex_);
    what_ = what;
}

void Watchdog::wait(double seconds) {
    std::unique_lock lock(mutex_);
    if (gone_.wait_for(lock, std::chrono::duration<double>(seconds), [this] { return goes_; })) return;
    std::fprintf(stderr, "lockstep: out of time after %g s at: %s\n", seconds, what_.c_str());
    std::fflush(nullptr);
    // Nothing is torn down: it may be just that which hangs. mpirun ends the other ranks.
    std::_Exit(1);
}

}  // namespace lockstep::launch
