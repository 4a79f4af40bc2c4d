#include "study_progress.hpp"

#include "terminal.hpp"

#include <cmath>
#include <cstdio>

namespace lockstep::launch {
namespace {

constexpr std::chrono::milliseconds redraw_interval(200);

std::string minutes(double seconds) {
    const auto whole = static_cast<long>(std::ceil(seconds));
    if (whole < 60) return std::to_string(whole) + " s";
    if (whole < 3600) return std::to_string(whole / 60) + " min " + std::to_string(whole % 60) + " s";
    return std::to_string(whole / 3600) + " h " + std::to_string(whole % 3600 / 60) + " min";
}

}  // namespace

StudyProgress::StudyProgress(bool speaks, std::size_t to_compute)
    : speaks_(speaks),
      terminal_(speaks && output_is_a_terminal()),
      to_compute_(to_compute),
      start_(std::chrono::steady_clock::now()) {}

std::string StudyProgress::head() const {
    const std::string count = std::to_string(to_compute_), number = std::to_string(done_ + 1);
    return "  [" + std::string(count.size() - std::min(count.size(), number.size()), ' ') + number + "/" +
           count + "] ";
}

/// `done` in combinations, with fractions.
std::string StudyProgress::left(double done) const {
    const double elapsed = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    const double rest = static_cast<double>(to_compute_) - done;
    if (!(done > 0) || !(rest > 0)) return "";
    return "about " + minutes(elapsed / done * rest) + " left";
}

void StudyProgress::begin(const std::string& name) {
    name_ = name;
}

void StudyProgress::update(double share) {
    if (!terminal_) return;
    const auto now = std::chrono::steady_clock::now();
    if (now - last_drawn_ < redraw_interval) return;
    last_drawn_ = now;
    std::printf("\r\033[K%s%s  %3.0f %%  %s", head().c_str(), name_.c_str(), 100 * share,
                left(static_cast<double>(done_) + share).c_str());
    std::fflush(stdout);
}

void StudyProgress::end(const Combination& one, AverageKind averages, Task task) {
    std::string result = "failed: " + one.reason;
    if (one.outcome == Outcome::finished && !one.epochs.empty()) {
        char text[64];
        const double score = one.epochs.back().score(averages);
        if (higher_is_better(task))
            std::snprintf(text, sizeof text, "test error %6.2f %%  %6.1f s", 100 * (1 - score), one.seconds);
        else
            std::snprintf(text, sizeof text, "test RMSE %9.4g  %6.1f s", score, one.seconds);
        result = text;
    }
    const std::string line = head();
    ++done_;
    if (!speaks_) return;
    std::printf("%s%s%-44s %s  %s\n", terminal_ ? "\r\033[K" : "", line.c_str(), name_.c_str(),
                result.c_str(), left(static_cast<double>(done_)).c_str());
    std::fflush(stdout);
}

}  // namespace lockstep::launch
