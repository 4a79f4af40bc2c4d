/// The signals that ask a run to stop: SIGTERM, SIGINT, SIGHUP and SIGUSR1, which batch systems send before a time limit.
#pragma once

#include <string>

namespace lockstep::launch {

/// Notes the first of them while it lives; a second one ends the process at once, as it would have without this. A
/// signal that the process was started to ignore, as under nohup, stays ignored. There may be one such object at a time.
class StopSignals {
  public:
    StopSignals();
    ~StopSignals();
    StopSignals(const StopSignals&) = delete;
    StopSignals& operator=(const StopSignals&) = delete;

    /// The number of the first that has come, 0 if none has.
    int received() const;
};

/// "SIGTERM"
std::string signal_name(int number);

}  // namespace lockstep::launch
