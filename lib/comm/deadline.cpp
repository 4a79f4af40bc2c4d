#include <lockstep/comm/deadline.hpp>

#include <algorithm>

namespace lockstep {

Deadline::Deadline(Clock::time_point start, double seconds) {
    // Beyond what a clock can count a deadline would lie in the past.
    constexpr double thirty_years = 1e9;
    end_ = start + std::chrono::duration_cast<Clock::duration>(
                       std::chrono::duration<double>(std::min(seconds, thirty_years)));
}

}  // namespace lockstep
