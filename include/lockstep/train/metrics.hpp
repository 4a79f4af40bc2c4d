/// metrics.jsonl: how a training went, one JSON object per line and step or epoch.
///
///     {"kind":"step","epoch":1,"step":7,"loss":0.69314718055994529}
///     {"kind":"epoch","epoch":1,"train_loss":…,"train_accuracy":…,"test_loss":…,"test_accuracy":…,
///      "test_top5":…,"seconds":…,"samples_per_second":…,"communication_seconds":…}
///
/// Where the targets are values, …_accuracy and …_top5 give way to train_rmse, test_rmse, test_mae and test_r2; where they
/// are labels, to train_f1 and test_f1.
///
/// Times are those since the run was last started: of an epoch that was interrupted, of its last part.
///
/// Numbers have 17 significant digits, so equal bits give equal text and the other way round. One that is not
/// finite, or is not known, is NaN here and null in the file.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/base/shape.hpp>
#include <lockstep/train/score.hpp>

#include <cstdio>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

struct StepMetrics {
    Index epoch = 0;
    Index step = 0;
    double loss = std::numeric_limits<double>::quiet_NaN();
};

struct EpochMetrics {
    Task task = Task::classification;
    Index epoch = 0;
    double train_loss = std::numeric_limits<double>::quiet_NaN();
    double train_score = std::numeric_limits<double>::quiet_NaN();  ///< see score.hpp
    double test_loss = std::numeric_limits<double>::quiet_NaN();
    double test_score = std::numeric_limits<double>::quiet_NaN();
    double test_top5 = std::numeric_limits<double>::quiet_NaN();  ///< of a classification
    double test_mae = std::numeric_limits<double>::quiet_NaN();   ///< of a regression
    double test_r2 = std::numeric_limits<double>::quiet_NaN();    ///< of a regression
    double seconds = std::numeric_limits<double>::quiet_NaN();
    double samples_per_second = std::numeric_limits<double>::quiet_NaN();
    double communication_seconds = std::numeric_limits<double>::quiet_NaN();
};

/// Writes the file of one run. Steps are buffered and reach the file at the end of their epoch at the latest.
class LOCKSTEP_EXPORT MetricsWriter {
  public:
    /// Starts an empty file; one that is there already is replaced. Throws FileError where that cannot be
    /// done.
    static MetricsWriter start(const std::filesystem::path& path);

    /// Continues the file of a run whose last complete epoch is `last_epoch`, and which has `steps` of the next one:
    /// lines of later steps and epochs are dropped, and so is what a crash has left, a torn last line or lines with
    /// zeros in them; a file without such lines is not rewritten. A missing file is started. Throws FileError, naming
    /// the line, if any other line is not one of a metrics file.
    static MetricsWriter resume(const std::filesystem::path& path, Index last_epoch, Index steps = 0);

    /// What resume has dropped, in words: "12 lines of later steps and 17 bytes of torn lines". Empty if nothing.
    const std::string& dropped() const { return dropped_; }
    /// Whether the file that resume has found lacks lines of what the run has done, or has them out of order. A file
    /// that has no steps at all need not have any.
    bool has_gaps() const { return has_gaps_; }

    /// Allocates nothing after the first. Throws FileError where the disk is full.
    void write(const StepMetrics& metrics);
    /// The same, and flushes, so that whoever follows the file sees the epoch.
    void write(const EpochMetrics& metrics);

    /// Hands everything written to the operating system. The destructor does so too, but cannot report a
    /// failure.
    void flush();
    /// The same, and forces it to the disk: before a checkpoint, which must not know more than this file. Throws
    /// FileError also where the file has been removed or replaced meanwhile.
    void sync();

  private:
    struct Close {
        void operator()(std::FILE* file) const { std::fclose(file); }
    };

    explicit MetricsWriter(std::filesystem::path path);
    void write_line(std::string_view line);
    [[noreturn]] void fail() const;

    std::filesystem::path path_;
    std::unique_ptr<std::FILE, Close> file_;
    std::string dropped_;
    bool has_gaps_ = false;
};

/// What a metrics file holds, in its order.
struct Metrics {
    std::vector<StepMetrics> steps;
    std::vector<EpochMetrics> epochs;
};

/// Reads a file, also that of a run under way: a torn last line is left out, and lines with zeros that a power cut left.
/// Throws FileError, naming the line, where the file is missing or any other line is not one of a metrics
/// file.
LOCKSTEP_EXPORT Metrics read_metrics(const std::filesystem::path& path);

}  // namespace lockstep
