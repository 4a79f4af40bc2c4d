/// A point in time after which waiting becomes an error, cheap enough to ask in a polling loop.
#pragma once

#include <lockstep/base/export.hpp>

#include <chrono>

namespace lockstep {

class LOCKSTEP_EXPORT Deadline {
  public:
    explicit Deadline(double seconds);

    /// Looks at the clock only once in a while: a poll that finds nothing costs a few nanoseconds more.
    bool passed() {
        if (++polls_ % polls_per_look != 0) return false;
        return std::chrono::steady_clock::now() > end_;
    }

  private:
    static constexpr unsigned polls_per_look = 256;

    std::chrono::steady_clock::time_point end_;
    unsigned polls_ = 0;
};

}  // namespace lockstep
