/// What a person sees while a run goes on: settings, a progress bar, one line for each epoch.
#pragma once

#include "options.hpp"

#include <lockstep/train/evaluator.hpp>
#include <lockstep/train/metrics.hpp>

#include <chrono>
#include <string>

namespace lockstep::launch {

/// Prints a text on rank 0 alone. Not collective.
void print_once(const std::string& text);

/// A text as one word of a shell's command, in quotes where it needs them.
std::string shell_word(const std::string& text);

/// Prints on rank 0 and is silent elsewhere.
class Console {
  public:
    explicit Console(bool speaks);

    void line(const std::string& text) const;
    void settings(const Settings& settings) const;
    /// The head of the table of epochs; without test columns where there is nothing to test on.
    void epochs_begin(Task task, bool tests);
    /// Redraws the bar, at most a few times a second, and only where standard output is a terminal.
    void progress(Index epoch, Index epochs, Index step, Index steps, double loss);
    void epoch(const EpochMetrics& metrics, Index epochs) const;
    /// Loss, scores and what the task has for details.
    void evaluation(const Evaluation& evaluation) const;

  private:
    void clear_bar() const;

    bool speaks_;
    bool terminal_;
    bool tests_ = true;
    std::chrono::steady_clock::time_point last_drawn_{};
};

}  // namespace lockstep::launch
