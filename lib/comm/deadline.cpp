#include <lockstep/comm/deadline.hpp>

#include <algorithm>

namespace lockstep {

Deadline::Deadline(double seconds) {
    // Beyond what a clock can count a deadline would lie in the past.
    constexpr double thirty_years = 1e9;
    end_ = std::chrono::steady_clock::now() +
           std::chrono::duration_cast<std::chrono::steady_clock::duration>(
               std::chrono::duration<double>(std::min(seconds, thirty_years)));
}

}  // namespace lockstep
