/// The files of a study, in the hands of rank 0: one record for each finished combination, and the results.
#pragma once

#include "folder_lock.hpp"
#include "output_folder.hpp"
#include "study_options.hpp"

#include <lockstep/report/study.hpp>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace lockstep::launch {

/// The parameters of a synchronized run after each of its epochs: what drift is measured against.
using ReferenceRun = std::vector<std::vector<float>>;

///     DIR/config.cfg                         what the study was resolved to
///     DIR/combinations/local-b2-s1.json      the record of a combination: it is there once it is finished
///     DIR/combinations/sync-b2-s1.parameters while other modes of that batch size and seed are to come
///     DIR/results.csv, results.json, report.html, figures/NAME.svg
class StudyFolder {
  public:
    /// Looks, and writes nothing; a folder that is there is locked. Throws UsageError if the folder holds a
    /// study already and is not to be resumed, or none and is.
    explicit StudyFolder(const StudyOptions& options);

    /// Makes the folder if it is new, clears away what killed processes left, and brings config.cfg up to
    /// date. Throws UsageError if another study was faster, FileError if the folder cannot be written.
    void begin();

    const std::filesystem::path& path() const { return path_; }
    /// From begin() on: why nobody is kept out of the folder; empty if others are.
    const std::string& lock_fault() const { return lock_->fault(); }

    /// The record of a combination; nothing if there is none yet. Throws UsageError, naming what differs, if
    /// it was made with other settings, FileError if it is damaged.
    std::optional<Combination> load(const CombinationPlan& plan, const Settings& settings) const;
    void save(const Combination& combination) const;

    /// Nothing where there is no such file.
    std::optional<ReferenceRun> load_reference(const CombinationPlan& plan) const;
    void save_reference(const CombinationPlan& plan, const ReferenceRun& run) const;
    void remove_reference(const CombinationPlan& plan) const;

    void write_results(const Study& study) const;

  private:
    std::filesystem::path record(const std::string& mode, Index batch_size, std::uint64_t seed) const;
    std::filesystem::path reference(const CombinationPlan& plan) const;

    void check() const;

    const StudyOptions& options_;
    std::filesystem::path path_;  ///< empty until begin() if a fresh one is to be made
    std::optional<FolderLock> lock_;
};

}  // namespace lockstep::launch
