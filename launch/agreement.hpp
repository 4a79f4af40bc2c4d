/// Ranks make sure that they are about to do the same.
#pragma once

#include <lockstep/comm/communicator.hpp>

#include <string>
#include <utility>
#include <vector>

namespace lockstep::launch {

/// Compares named texts over all ranks, in one exchange. Throws CommunicationError, alike on all ranks,
/// naming the first that differs and who has it otherwise.
void check_agreement(const Communicator& communicator,
                     const std::vector<std::pair<std::string, std::string>>& what);

}  // namespace lockstep::launch
