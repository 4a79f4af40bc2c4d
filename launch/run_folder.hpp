/// The folder of a run, in the hands of rank 0: what may begin or go on there, and its files.
///
///     DIR/config.cfg               every setting as it was resolved
///     DIR/metrics.jsonl            see metrics.hpp
///     DIR/checkpoint.safetensors   after the first epochs: what the run is continued from; see checkpoints.hpp
///     DIR/model.safetensors        at the end
///
///     the folder holds                   a new run           --resume
///     nothing of a run, or is not there  begins              refused: there is none
///     config.cfg alone                   begins; replaces it begins, with its settings
///     config.cfg, metrics.jsonl          refused: --resume   begins, with its settings
///     checkpoint                         refused: --resume   goes on
///     checkpoint, no config.cfg          refused: --resume   goes on; the command line gives the settings
///     metrics.jsonl alone                refused: remove it  refused: remove it
///     a study                            refused             refused
///
/// Whatever is refused leaves the folder as it is, but for the lock of a process that has gone.
#pragma once

#include "folder_lock.hpp"
#include "options.hpp"

#include <lockstep/train/metrics.hpp>

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace lockstep::launch {

/// Whether --resume goes on from a checkpoint; otherwise it begins from the beginning. To be asked while the folder is
/// locked: who worked there before may have left a checkpoint with its last step. Throws UsageError if there is no run to
/// resume.
bool resumes_from_checkpoint(const std::filesystem::path& folder);

class RunFolder {
  public:
    /// Looks, and writes nothing; a folder that is there is locked. Throws UsageError if the run may not
    /// begin or go on there.
    explicit RunFolder(const RunOptions& options);

    /// Makes the folder if it is new, clears away what killed processes left, and brings config.cfg and
    /// metrics.jsonl to where a run goes on from `checkpoint`, of this position, or begins if there is none. A file
    /// that is as it should be is not touched. Throws UsageError if another run was faster, FileError if a file
    /// cannot be written. Returns what there is to say of what was found, in lines.
    std::vector<std::string> begin(const std::filesystem::path& checkpoint, const TrainingPosition& position);

    const std::filesystem::path& path() const { return path_; }
    /// Calls `write` with the path of a new checkpoint, which becomes the newest when it is complete.
    void add_checkpoint(const std::function<void(const std::filesystem::path&)>& write);
    std::filesystem::path model() const { return path_ / "model.safetensors"; }
    /// From begin() on, if there is an epoch to come.
    MetricsWriter& metrics() { return *metrics_; }

  private:
    void check_is_new() const;
    void begin_anew(const std::string& config);
    void go_on(const std::string& config, const TrainingPosition& position);

    const RunOptions& options_;
    std::filesystem::path path_;  ///< empty until begin() if a fresh one is to be made
    std::optional<FolderLock> lock_;
    std::optional<MetricsWriter> metrics_;
};

}  // namespace lockstep::launch
