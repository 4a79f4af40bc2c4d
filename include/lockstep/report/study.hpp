/// What a study of synchronized against local batch normalization found: plain data, and its JSON form.
///
/// A study trains one network for every combination of statistics mode, samples per replica and seed, with
/// the global batch held fixed. Scores are those of the task (see score.hpp); a number that was not measured is NaN, null in
/// JSON.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/base/settings.hpp>
#include <lockstep/base/shape.hpp>
#include <lockstep/report/prediction.hpp>
#include <lockstep/train/score.hpp>

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lockstep {

inline constexpr double not_measured = std::numeric_limits<double>::quiet_NaN();

enum class Outcome {
    finished,
    failed,    ///< training could not start or go on; `reason` says why
    left_out,  ///< the mode makes no sense with so few replicas
};

/// Which running averages a test error was taken with.
enum class AverageKind {
    pooled,   ///< of all replicas
    first,    ///< of the first replica's statistics group alone
    precise,  ///< PreciseBN
    batch,    ///< none: the mini-batches' own statistics, as in training
};

/// After an epoch.
struct LOCKSTEP_EXPORT StudyEpoch {
    Index epoch = 0;  ///< counted from 1
    double train_loss = not_measured;
    double train_score = not_measured;
    double test_loss = not_measured;  ///< with the running averages that the study asks for
    double pooled_score = not_measured;
    double first_score = not_measured;
    double precise_score = not_measured;
    double batch_score = not_measured;
    /// ‖θ − θ_sync‖ / ‖θ_sync‖ over all parameters, where θ_sync are those of the synchronized run.
    double drift = not_measured;

    double score(AverageKind kind) const;
};

/// The mean training loss over a few steps that end at `epoch` (with fractions, from 0).
struct LossPoint {
    double epoch = 0;
    double loss = 0;
};

/// The noise of the replicas' statistics at `epoch` (with fractions, from 0); one entry for each layer.
struct NoisePoint {
    double epoch = 0;
    std::vector<double> mean;
    std::vector<double> variance;
};

struct LOCKSTEP_EXPORT Combination {
    std::string mode;  ///< "local", "group:4" or "sync"
    Index batch_size = 0;
    int replicas = 0;
    std::uint64_t seed = 0;
    Outcome outcome = Outcome::finished;
    std::string reason;
    Settings settings;  ///< all that its bits depend on
    std::vector<StudyEpoch> epochs;
    std::vector<LossPoint> losses;
    std::vector<NoisePoint> noise;
    std::string fingerprint;
    double compute_seconds = not_measured;        ///< of a step: median, mean over the ranks
    double communication_seconds = not_measured;  ///< of a step: waiting for other ranks
    double seconds = 0;                           ///< of the whole combination
    int ranks = 1;                                ///< that computed it

    /// "local, 2 samples per replica, seed 1"
    std::string to_string() const;
};

struct LOCKSTEP_EXPORT Study {
    std::vector<std::pair<std::string, std::string>> settings;
    std::vector<std::string> modes;
    std::vector<Index> batch_sizes;
    std::vector<std::uint64_t> seeds;
    Index global_batch = 0;
    Task task = Task::classification;
    AverageKind averages = AverageKind::pooled;  ///< behind the test errors that tables and findings give
    std::vector<std::string> layers;             ///< names of the batch norms, in forward order
    std::string machine;
    int ranks = 1;
    std::vector<Combination> combinations;
    std::optional<Prediction> prediction;

    /// The combination, where the study has it and it is finished; else null.
    const Combination* find(std::string_view mode, Index batch_size, std::uint64_t seed) const;
};

LOCKSTEP_EXPORT std::string to_string(Outcome outcome);
/// "pooled", "first", "precise" or "batch".
LOCKSTEP_EXPORT std::string to_string(AverageKind kind);

/// One combination as JSON text. from_json throws FileError, naming `source`, on text that is not one.
LOCKSTEP_EXPORT std::string to_json(const Combination& combination);
LOCKSTEP_EXPORT Combination combination_from_json(std::string_view text, const std::string& source);
/// The whole study with all its combinations: results.json.
LOCKSTEP_EXPORT std::string to_json(const Study& study);

}  // namespace lockstep
