/// What every rank tells of itself and its machine.
#pragma once

#include "doctor_findings.hpp"

#include <lockstep/comm/communicator.hpp>

#include <string>
#include <vector>

namespace lockstep::launch {

/// By rank, the same on every rank. Sleeps for a moment, to see what others do with the cores meanwhile. Collective.
std::vector<RankFacts> gather_facts(const Communicator& communicator);

/// What tells one machine from another: its boot id, or its name if the kernel has none.
std::string machine();

/// On how many machines the ranks of a communicator are: "2 hosts x 4 ranks", "1 host x 3 ranks", "2 hosts, 7 ranks".
/// Collective.
std::string hosts_and_ranks(const Communicator& communicator);

}  // namespace lockstep::launch
