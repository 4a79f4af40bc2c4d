/// What a person sees while a study goes on: one line for each combination, and how long it will still take.
#pragma once

#include <lockstep/report/study.hpp>

#include <chrono>
#include <cstddef>
#include <string>

namespace lockstep::launch {

/// Prints on rank 0 and is silent elsewhere.
class StudyProgress {
  public:
    /// So many combinations are to be computed.
    StudyProgress(bool speaks, std::size_t to_compute);

    void begin(const std::string& name);
    /// `share` of the combination is done. Redraws a few times a second, and only on a terminal.
    void update(double share);
    void end(const Combination& combination, AverageKind averages, Task task);

  private:
    std::string left(double done) const;
    std::string head() const;

    bool speaks_;
    bool terminal_;
    std::size_t to_compute_, done_ = 0;
    std::string name_;
    std::chrono::steady_clock::time_point start_, last_drawn_{};
};

}  // namespace lockstep::launch
