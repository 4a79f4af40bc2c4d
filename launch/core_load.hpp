/// How busy the cores of this machine are.
#pragma once

#include <vector>

namespace lockstep::launch {

/// Sleeps for a moment and says which of `cores` were busy nearly all of it: with others' work, if all of one's own
/// sleeps as well.
std::vector<int> busy_cores(const std::vector<int>& cores);

}  // namespace lockstep::launch
