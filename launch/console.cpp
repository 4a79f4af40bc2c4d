#include "console.hpp"

#include "evaluation_text.hpp"
#include "terminal.hpp"

#include <mpi.h>

#include <cstdio>
#include <string_view>

namespace lockstep::launch {
namespace {

constexpr int bar_cells = 30;
constexpr std::chrono::milliseconds redraw_interval(100);

/// Eight characters.
std::string score_text(Task task, double score) {
    char text[32];
    if (task == Task::regression)
        std::snprintf(text, sizeof text, "%8.4g", score);
    else
        std::snprintf(text, sizeof text, "%6.2f %%", 100 * score);
    return text;
}

}  // namespace

std::string shell_word(const std::string& text) {
    constexpr std::string_view plain =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+=./:,@%";
    if (!text.empty() && text.find_first_not_of(plain) == std::string::npos) return text;
    std::string word = "'";
    for (const char letter : text) word += letter == '\'' ? std::string("'\\''") : std::string(1, letter);
    return word + "'";
}

void print_once(const std::string& text) {
    int rank = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (rank != 0) return;
    std::fputs(text.c_str(), stdout);
    std::fflush(stdout);
}

Console::Console(bool speaks) : speaks_(speaks), terminal_(speaks && output_is_a_terminal()) {}

void Console::line(const std::string& text) const {
    if (!speaks_) return;
    std::puts(text.c_str());
    std::fflush(stdout);
}

void Console::settings(const Settings& settings) const {
    if (!speaks_) return;
    for (const auto& [name, value] : settings) std::printf("  %-17s %s\n", name.c_str(), value.c_str());
    std::fflush(stdout);
}

void Console::epochs_begin(Task task, bool tests) {
    tests_ = tests;
    const std::string name = task == Task::classification ? "accuracy"
                             : task == Task::regression   ? "RMSE"
                                                          : "F1";
    const std::string score = std::string(10 - name.size(), ' ') + name;
    line("\n  epoch   train loss" + score + (tests ? "    test loss" + score : "") +
         "    seconds  samples/s  waiting");
}

void Console::progress(Index epoch, Index epochs, Index step, Index steps, double loss) {
    if (!terminal_) return;
    const auto now = std::chrono::steady_clock::now();
    if (now - last_drawn_ < redraw_interval) return;
    last_drawn_ = now;
    const auto filled = static_cast<int>(bar_cells * (step + 1) / steps);
    const std::string bar = std::string(static_cast<std::size_t>(filled), '=') +
                            std::string(static_cast<std::size_t>(bar_cells - filled), ' ');
    std::printf("\r  epoch %td/%td [%s] step %td/%td  loss %.4f ", epoch, epochs, bar.c_str(), step + 1,
                steps, loss);
    std::fflush(stdout);
}

void Console::clear_bar() const {
    if (terminal_) std::fputs("\r\033[K", stdout);
}

void Console::epoch(const EpochMetrics& m, Index epochs) const {
    if (!speaks_) return;
    clear_bar();
    std::printf("  %3td/%-3td  %11.4f  %s", m.epoch, epochs, m.train_loss,
                score_text(m.task, m.train_score).c_str());
    if (tests_) std::printf("  %11.4f  %s", m.test_loss, score_text(m.task, m.test_score).c_str());
    std::printf("  %9.2f  %9.0f  %5.1f %%\n", m.seconds, m.samples_per_second,
                100 * m.communication_seconds / m.seconds);
    std::fflush(stdout);
}

void Console::evaluation(const Evaluation& result) const {
    if (!speaks_) return;
    std::printf("\n  samples   %td\n  loss      %.6f\n", result.samples, result.loss);
    std::fputs(evaluation_text(result).c_str(), stdout);
    std::fflush(stdout);
}

}  // namespace lockstep::launch
