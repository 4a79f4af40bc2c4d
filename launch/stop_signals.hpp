/// The signals that ask a run to stop: SIGTERM, SIGINT, SIGHUP and SIGUSR1, which batch systems send before a time limit.
#pragma once

#include <string>

namespace lockstep::launch {

/// From now on the first of them that comes is noted, and a second one, half a second later or more, ends the process at
/// once, as it would have without this. So it remains until the program ends, also after the run: ranks get what was sent
/// to all of them at different times, and one that has stopped with the others before its own copy came is to end in
/// order like them. A signal that the process was started to ignore, as under nohup, stays ignored.
void note_stop_signals();

/// The number of the first that has come, 0 if none has.
int noted_stop_signal();

/// "SIGTERM"
std::string signal_name(int number);

}  // namespace lockstep::launch
