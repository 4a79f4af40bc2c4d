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

/// Prints on rank 0 and is silent elsewhere.
class Console {
  public:
    explicit Console(bool speaks);

    void line(const std::string& text) const;
    void settings(const Settings& settings) const;
    /// The head of the table of epochs.
    void epochs_begin() const;
    /// Redraws the bar, at most a few times a second, and only where standard output is a terminal.
    void progress(Index epoch, Index epochs, Index step, Index steps, double loss);
    void epoch(const EpochMetrics& metrics, Index epochs) const;
    /// Loss, accuracy and how often which class was taken for which.
    void evaluation(const Evaluation& evaluation, Index samples) const;

  private:
    void clear_bar() const;

    bool speaks_;
    bool terminal_;
    std::chrono::steady_clock::time_point last_drawn_{};
};

}  // namespace lockstep::launch
