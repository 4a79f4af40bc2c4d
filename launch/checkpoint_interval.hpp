/// How often a run writes a checkpoint: `--checkpoint-every 2`, `2epochs`, `500steps`, `10min`.
#pragma once

#include "option_text.hpp"

#include <lockstep/base/shape.hpp>

#include <chrono>
#include <string>

namespace lockstep::launch {

struct CheckpointInterval {
    enum class Unit { epochs, steps, seconds, minutes, hours };

    Index count = 1;
    Unit unit = Unit::epochs;
};

TextForm<CheckpointInterval> checkpoint_interval_text();

/// Where a run has come to, for that question.
struct RunProgress {
    Index epoch = 0;                                   ///< complete ones
    Index step = 0;                                    ///< of the whole run
    bool epoch_ended = false;                          ///< with this step
    std::chrono::steady_clock::duration since_last{};  ///< checkpoint, or the start
};

/// Whether a checkpoint is due. Clocks differ from rank to rank: one rank asks, that which writes it.
bool is_due(const CheckpointInterval& interval, const RunProgress& progress);

}  // namespace lockstep::launch
