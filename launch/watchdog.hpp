/// Ends a process that takes too long, whatever it hangs in: a file system that does not answer, an MPI call.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace lockstep::launch {

class Watchdog {
  public:
    /// Ends this process with exit code 1 and one line unless it goes before that time.
    explicit Watchdog(double seconds);
    ~Watchdog();
    Watchdog(const Watchdog&) = delete;
    Watchdog& operator=(const Watchdog&) = delete;

    /// Says what is going on from here on, for that line.
    void watch(const std::string& what);

  private:
    void wait(double seconds);

    std::mutex mutex_;
    std::condition_variable gone_;
    bool goes_ = false;
    std::string what_ = "the beginning";
    std::thread thread_;
};

}  // namespace lockstep::launch
