/// The files of a study, in the hands of rank 0: one record for each finished combination, and the results.
#pragma once

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
    /// Throws UsageError where the folder holds a study already and is not to be resumed, FileError where it
    /// cannot be written.
    explicit StudyFolder(const StudyOptions& options);

    const std::filesystem::path& path() const { return path_; }

    /// The record of a combination; nothing where there is none yet. Throws UsageError where it was made with
    /// other settings, FileError where it is damaged.
    std::optional<Combination> load(const CombinationPlan& plan, const std::string& description) const;
    void save(const Combination& combination) const;

    /// Nothing where there is no such file.
    std::optional<ReferenceRun> load_reference(const CombinationPlan& plan) const;
    void save_reference(const CombinationPlan& plan, const ReferenceRun& run) const;
    void remove_reference(const CombinationPlan& plan) const;

    void write_results(const Study& study) const;

  private:
    std::filesystem::path record(const std::string& mode, Index batch_size, std::uint64_t seed) const;
    std::filesystem::path reference(const CombinationPlan& plan) const;

    std::filesystem::path path_;
};

}  // namespace lockstep::launch
