#include "run_folder.hpp"

#include "checkpoints.hpp"
#include "output_folder.hpp"

#include <lockstep/base/atomic_file.hpp>
#include <lockstep/base/error.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>

namespace lockstep::launch {
namespace {

namespace fs = std::filesystem;

enum class State {
    nothing,
    configured,  ///< config.cfg alone
    begun,       ///< without a checkpoint
    checkpointed,
    only_metrics,
    study,
};

fs::path config_path(const fs::path& folder) {
    return folder / "config.cfg";
}

fs::path metrics_path(const fs::path& folder) {
    return folder / "metrics.jsonl";
}

State state_of(const fs::path& folder) {
    if (is_there(folder / "combinations")) return State::study;
    if (!checkpoints_in(folder).empty()) return State::checkpointed;
    const fs::path metrics = metrics_path(folder);
    if (is_there(config_path(folder))) return is_there(metrics) ? State::begun : State::configured;
    return is_there(metrics) ? State::only_metrics : State::nothing;
}

[[noreturn]] void refuse(const fs::path& folder, const std::string& why) {
    throw UsageError(folder.string() + ": " + why);
}

/// The states in which neither a new run nor a resumed one may write.
void check_is_for_runs(const fs::path& folder, State state) {
    if (state == State::study) refuse(folder, holds_a_study);
    if (state == State::only_metrics)
        refuse(folder,
               "holds metrics.jsonl, but neither the config.cfg nor the checkpoint of its run: remove it, or "
               "name another folder");
}

/// Makes metrics.jsonl, which must not be there: of two runs that begin at once, on two hosts say, one gets
/// it.
void claim(const fs::path& folder) {
    const int descriptor =
        ::open(metrics_path(folder).c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor >= 0) {
        ::close(descriptor);
        return;
    }
    if (errno == EEXIST)
        refuse(folder, "another run has begun in this folder at the same time: name another folder");
    throw FileError(metrics_path(folder).string() +
                    ": cannot be made: " + std::generic_category().message(errno));
}

/// Whether the file has lines of steps after the last complete epoch.
bool goes_beyond(const fs::path& metrics, Index complete_epochs) {
    const Metrics lines = read_metrics(metrics);
    return std::ranges::any_of(lines.steps, [&](const auto& one) { return one.epoch > complete_epochs; });
}

std::string fresh_name(const RunOptions& options) {
    std::string name = data_title(options.data) + "-" + options.trainer.batch_norm.to_string();
    std::ranges::replace(name, ':', '-');
    return name;
}

}  // namespace

bool resumes_from_checkpoint(const fs::path& folder) {
    const State state = state_of(folder);
    check_is_for_runs(folder, state);
    if (state == State::nothing) refuse(folder, no_run_to_resume);
    return state == State::checkpointed;
}

RunFolder::RunFolder(const RunOptions& options) : options_(options), path_(options.output) {
    if (path_.empty()) return;
    // Who is at work there says more than what is there.
    if (is_there(path_)) lock_.emplace(path_, options_.timeout_seconds);
    if (!options_.resume) check_is_new();
}

void RunFolder::check_is_new() const {
    const State state = state_of(path_);
    check_is_for_runs(path_, state);
    if (state != State::checkpointed && state != State::begun) return;
    if (options_.resume_mode == ResumeMode::automatic)  // there was nothing when the options were read
        refuse(path_, "another run has begun there meanwhile: start this one again, to continue it");
    if (state == State::checkpointed)
        refuse(path_, "holds a run already: continue it with --resume, or name another folder");
    refuse(path_,
           "holds a run already, which has no checkpoint yet: begin it again with --resume, or name another "
           "folder");
}

std::vector<std::string> RunFolder::begin(const fs::path& checkpoint, const TrainingPosition& position) {
    if (path_.empty())
        path_ = make_fresh_folder(fresh_name(options_));
    else if (!options_.resume)
        make_folder(path_);
    if (!lock_) lock_.emplace(path_, options_.timeout_seconds);
    const std::string config = configuration_text(resolved_settings(options_));
    if (checkpoint.empty())
        begin_anew(config);
    else
        go_on(config, position);
    if (!checkpoint.empty()) put_damaged_aside(path_, checkpoint);
    std::error_code error;
    fs::remove(next_checkpoint_path(path_), error);  // of a run that was killed just then
    remove_dead_partials(path_);
    std::vector<std::string> notes;
    if (metrics_ && !metrics_->dropped().empty())
        notes.push_back("metrics.jsonl: dropped " + metrics_->dropped());
    if (metrics_ && metrics_->has_gaps())
        notes.emplace_back("metrics.jsonl: lines of earlier steps are missing");
    if (!lock_->fault().empty()) notes.push_back(lock_->fault());
    return notes;
}

void RunFolder::begin_anew(const std::string& config) {
    if (!options_.resume) check_is_new();  // again: now that others are locked out
    // Before metrics.jsonl: a process killed between the two leaves a folder that any command goes on with.
    write_if_changed(config_path(path_), config);
    if (!options_.resume) claim(path_);
    metrics_.emplace(MetricsWriter::start(metrics_path(path_)));
}

void RunFolder::go_on(const std::string& config, const TrainingPosition& position) {
    const fs::path metrics = metrics_path(path_);
    const bool complete = position.epoch == options_.trainer.schedule.epochs;
    // A complete run is looked at, not written, so that its folder may be read-only. First what may be
    // refused for what it holds, then what is only written.
    if (!complete || !is_there(metrics) || goes_beyond(metrics, position.epoch))
        metrics_.emplace(MetricsWriter::resume(metrics, position.epoch, position.step));
    write_if_changed(config_path(path_), config);
}

void RunFolder::add_checkpoint(const std::function<void(const fs::path&)>& write) {
    // First what it goes with: a run that is continued must find the lines of all steps that the checkpoint has.
    metrics_->sync();
    write(next_checkpoint_path(path_));
    adopt_next_checkpoint(path_, options_.keep_checkpoints);
}

}  // namespace lockstep::launch
