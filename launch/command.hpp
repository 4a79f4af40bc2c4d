/// The commands of the launcher. Each is collective over all ranks and throws what goes wrong.
#pragma once

#include <string>
#include <vector>

namespace lockstep::launch {

/// Thrown on every rank by a command that was asked to stop, has saved what it had and said so.
struct StoppedEarly {};
/// What the program ends with then: "try again later" (EX_TEMPFAIL of sysexits.h), for scripts that requeue.
inline constexpr int exit_code_of_stopped = 75;

/// Arguments are those after the command's name.
/// Throws StoppedEarly after a signal: see stop_signals.hpp.
void train_command(const std::vector<std::string>& arguments);
void evaluate_command(const std::vector<std::string>& arguments);
void predict_command(const std::vector<std::string>& arguments);
void compare_command(const std::vector<std::string>& arguments);
/// The first argument says what to measure.
void bench_command(const std::vector<std::string>& arguments);

/// What this program is made of, in lines: its version, MPI, compiler, instruction sets. Not collective.
std::string version_text();

}  // namespace lockstep::launch
