#include "stop_signals.hpp"

#include <array>
#include <atomic>
#include <csignal>
#include <ctime>

namespace lockstep::launch {
namespace {

constexpr std::array<int, 4> stop_signals = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
/// One request may come twice: from the batch system and from mpirun, or to the process and to its group.
constexpr double same_request_seconds = 0.5;

// A handler has nothing else to write to.
std::atomic<int> first_signal = 0;
std::atomic<double> first_time = 0;
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<double>::is_always_lock_free,
              "a handler may not wait for a lock");

double now() {
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

extern "C" void note_signal(int number) {
    if (first_signal == 0) {
        first_time = now();
        first_signal = number;
        return;
    }
    if (now() - first_time < same_request_seconds) return;
    std::signal(number, SIG_DFL);
    std::raise(number);  // comes when this handler has returned
}

}  // namespace

void note_stop_signals() {
    first_signal = 0;
    for (const int number : stop_signals) {
        struct sigaction before {
        }, action{};
        ::sigaction(number, nullptr, &before);
        if (before.sa_handler == SIG_IGN) continue;
        action.sa_handler = note_signal;
        action.sa_flags = SA_RESTART;  // no read or write ends half done
        ::sigaction(number, &action, nullptr);
    }
}

int noted_stop_signal() {
    return first_signal;
}

std::string signal_name(int number) {
    switch (number) {
        case SIGTERM:
            return "SIGTERM";
        case SIGINT:
            return "SIGINT";
        case SIGHUP:
            return "SIGHUP";
        case SIGUSR1:
            return "SIGUSR1";
        default:
            return "signal " + std::to_string(number);
    }
}

}  // namespace lockstep::launch
