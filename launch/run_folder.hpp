/// The folder of a run, in the hands of rank 0: what may begin or go on there, and its files.
///
///     DIR/config.cfg               every setting as it was resolved
///     DIR/metrics.jsonl            see metrics.hpp
///     DIR/checkpoint.safetensors   after the first epochs: what the run is continued from
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
/// Whatever is refused leaves the folder as it is.
#pragma once

#include "options.hpp"
#include "output_folder.hpp"

#include <lockstep/train/metrics.hpp>

#include <filesystem>
#include <optional>

namespace lockstep::launch {

/// Whether --resume goes on from a checkpoint; otherwise it begins from the beginning. Throws UsageError if
/// there is no run to resume. Every rank asks for itself.
bool resumes_from_checkpoint(const std::filesystem::path& folder);
/// The checkpoint in a run folder.
std::filesystem::path checkpoint_path(const std::filesystem::path& folder);

class RunFolder {
  public:
    /// Looks, and writes nothing; a folder that is there is locked. Throws UsageError if the run may not
    /// begin or go on there.
    explicit RunFolder(const RunOptions& options);

    /// Makes the folder if it is new, clears away what killed processes left, and brings config.cfg and
    /// metrics.jsonl to where a run after so many complete epochs begins. A file that is as it should be is
    /// not touched. Throws UsageError if another run was faster, FileError if a file cannot be written.
    void begin(Index complete_epochs);

    const std::filesystem::path& path() const { return path_; }
    std::filesystem::path checkpoint() const { return checkpoint_path(path_); }
    std::filesystem::path model() const { return path_ / "model.safetensors"; }
    /// From begin() on, if there is an epoch to come.
    MetricsWriter& metrics() { return *metrics_; }

  private:
    void begin_anew(const std::string& config);
    void go_on(const std::string& config, Index complete_epochs);

    const RunOptions& options_;
    std::filesystem::path path_;  ///< empty until begin() if a fresh one is to be made
    std::optional<FolderLock> lock_;
    std::optional<MetricsWriter> metrics_;
};

}  // namespace lockstep::launch
