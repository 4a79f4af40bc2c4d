/// A point in time after which waiting becomes an error, cheap enough to ask in a polling loop.
#pragma once

#include <lockstep/base/export.hpp>

#include <chrono>

namespace lockstep {

class LOCKSTEP_EXPORT Deadline {
  public:
    using Clock = std::chrono::steady_clock;

    explicit Deadline(double seconds) : Deadline(Clock::now(), seconds) {}
    Deadline(Clock::time_point start, double seconds);

    /// Looks at the clock only once in a while: a poll that finds nothing costs a nanosecond more.
    bool passed() {
        if (++polls_ % polls_per_look != 0) return false;
        return Clock::now() > end_;
    }

    /// Whether the last passed() did look: the time for whatever else need not be asked at every poll.
    bool looked() const { return polls_ % polls_per_look == 0; }

  private:
    // Where ranks share a core each poll that finds nothing gives the core away, for a millisecond or more.
    static constexpr unsigned polls_per_look = 32;

    Clock::time_point end_;
    unsigned polls_ = 0;
};

}  // namespace lockstep
