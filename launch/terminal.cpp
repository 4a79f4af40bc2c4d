#include "terminal.hpp"

#include "job_environment.hpp"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>

namespace lockstep::launch {
namespace {

/// The device or file behind a process's standard output, such as /dev/pts/3; empty where that is hidden.
std::string output_of(long process) {
    std::error_code error;
    return std::filesystem::read_symlink("/proc/" + std::to_string(process) + "/fd/1", error).string();
}

/// 0 where there is none, or it cannot be known.
long parent_of(long process) {
    std::ifstream status("/proc/" + std::to_string(process) + "/status");
    constexpr std::string_view key = "PPid:";
    for (std::string line; std::getline(status, line);)
        if (line.starts_with(key)) return std::strtol(line.c_str() + key.size(), nullptr, 10);
    return 0;
}

bool is_terminal_device(std::string_view path) {
    return path.starts_with("/dev/pts/") || path.starts_with("/dev/tty") || path == "/dev/console";
}

/// Where mpirun prints: the nearest ancestor whose output is not the pseudo-terminal made for us is mpirun.
bool mpirun_prints_to_a_terminal() {
    const std::string ours = output_of(getpid());
    for (long process = getppid(); process > 1; process = parent_of(process)) {
        const std::string theirs = output_of(process);
        if (theirs != ours) return is_terminal_device(theirs);
    }
    return false;
}

}  // namespace

bool output_is_a_terminal() {
    if (isatty(STDOUT_FILENO) != 1) return false;
    const char* const terminal = std::getenv("TERM");
    if (terminal == nullptr || std::string_view(terminal) == "dumb") return false;
    return !announced_rank(initial_environment()) || mpirun_prints_to_a_terminal();
}

}  // namespace lockstep::launch
