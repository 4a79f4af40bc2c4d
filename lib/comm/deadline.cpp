#include <lockstep/comm/deadline.hpp>

namespace lockstep {

Deadline::Deadline(double seconds)
    : end_(std::chrono::steady_clock::now() + std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                                                  std::chrono::duration<double>(seconds))) {}

}  // namespace lockstep
