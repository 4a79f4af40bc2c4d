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

/// MPICH's mpirun starts its ranks through one, or several in a row.
bool is_proxy(long process) {
    std::ifstream name("/proc/" + std::to_string(process) + "/comm");
    std::string text;
    return std::getline(name, text) && text.starts_with("hydra_");
}

/// The nearest ancestor whose output is not the one that was made for us: mpirun, or a proxy of it. 0 if there
/// is none.
long maker_of_our_output() {
    const std::string ours = output_of(getpid());
    long process = getppid();
    while (process > 1 && output_of(process) == ours) process = parent_of(process);
    return process > 1 ? process : 0;
}

bool mpirun_prints_to_a_terminal() {
    long process = maker_of_our_output();
    // Pipes are what proxies make for us; otherwise one leads to another program, such as `tee`.
    if (!is_proxy(process) && isatty(STDOUT_FILENO) != 1) return false;
    while (is_proxy(process)) process = parent_of(process);
    return is_terminal_device(output_of(process));
}

}  // namespace

bool output_is_a_terminal() {
    const char* const terminal = std::getenv("TERM");
    if (terminal == nullptr || std::string_view(terminal) == "dumb") return false;
    if (announced_rank(initial_environment())) return mpirun_prints_to_a_terminal();
    return isatty(STDOUT_FILENO) == 1;
}

}  // namespace lockstep::launch
