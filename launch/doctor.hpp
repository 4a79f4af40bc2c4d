/// The parts of `lockstep doctor` for which the ranks have to work together. Each is collective, returns the same
/// findings on rank 0 at least, and ends within the communicator's time-out.
#pragma once

#include "doctor_findings.hpp"

#include <lockstep/comm/communicator.hpp>

#include <filesystem>
#include <vector>

namespace lockstep::launch {

/// What it may take, unless --timeout says otherwise; and how much of that each exchange may.
inline constexpr double doctor_seconds = 120;
inline constexpr double doctor_exchange_share = 0.25;

/// How messages and gradients travel, and how fast.
Findings examine_transport(const Communicator& communicator, const std::vector<RankFacts>& ranks);

/// Whether all hosts see the output folder, what lies in it, and what MPI has left in /dev/shm of each host.
Findings examine_files(const Communicator& communicator, const std::vector<RankFacts>& ranks,
                       const std::filesystem::path& output);

/// Whether all ranks together and each by itself come to the same bits.
Findings examine_bits(const Communicator& communicator);

}  // namespace lockstep::launch
