/// What a training step would take on a cluster: measured computing time plus a latency–bandwidth model.
///
/// A message of n bytes takes α + n/B, and the P − 1 messages that a rank sends leave one after the other:
///
///     short form (every rank sends all it has to every other)   T(n) = (P − 1)·(α + n/B)
///     long form (reduce-scatter, then all-gather)               T(n) = 2·(P − 1)·(α + n/(P·B))
///     in stages of k ≤ 8 ranks each (see exchange_plan.hpp)     T(n) = Σ over the stages (k − 1)·(α + n/B)
///
/// With one replica on each rank, G bytes of gradients, L batch norms of c_l channels, and 64 bytes of label
/// in front of each statistics message:
///
///     step(local) = compute + T(G) + T(64 + 16 + Σ_l 8·(1 + 2·c_l))
///     step(sync)  = compute + T(G) + T(64 + 16) + Σ_l [T(64 + 8·(1 + 2·c_l)) + T(64 + 16·c_l)]
///
/// The last term is the backward exchange, which a batch norm without anything before it does not need.
/// Nothing is taken to overlap; that ranks wait for the slowest, and what starting an exchange costs, is left
/// out.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/base/shape.hpp>

#include <array>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

struct LinkModel {
    double latency_seconds = 0;             ///< α
    double bandwidth_bytes_per_second = 0;  ///< B
    bool measured = false;                  ///< between the ranks at hand, not given
};

/// What crosses ranks in a step.
struct StepMessages {
    Index gradient_bytes = 0;
    std::vector<Index> channels;  ///< of each batch norm
    bool first_backward = true;   ///< whether the first batch norm has layers before it
};

enum class PredictedForm {
    short_form,  ///< for everything
    long_form,   ///< for everything
    as_built,    ///< in stages for statistics; for gradients in buckets short up to 8 KiB, long above
};
inline constexpr std::array predicted_forms = {PredictedForm::as_built, PredictedForm::short_form,
                                               PredictedForm::long_form};
LOCKSTEP_EXPORT std::string_view to_string(PredictedForm form);

struct PredictedStep {
    double local_seconds = 0;
    double sync_seconds = 0;
    /// What sync costs beyond local, as a share of local's time.
    double cost() const { return sync_seconds / local_seconds - 1; }
};

/// The formulas above, for `ranks` ranks with one replica each.
LOCKSTEP_EXPORT PredictedStep predict_step(PredictedForm form, int ranks, double compute_seconds,
                                           const StepMessages& messages, const LinkModel& link);

/// One row of the table: a batch size on a number of ranks, by predicted form (see predicted_forms).
struct PredictionRow {
    Index batch_size = 0;
    int ranks = 0;
    std::array<PredictedStep, predicted_forms.size()> steps;
};

/// What the model says beside what a clock says, on the machine at hand.
struct PredictionCheck {
    int ranks = 0;
    Index batch_size = 0;
    PredictedStep predicted;
    PredictedStep measured;
};

struct ComputeTime {
    Index batch_size = 0;
    double seconds = 0;  ///< of a step of one replica, without communication
};

struct LOCKSTEP_EXPORT Prediction {
    LinkModel link;
    StepMessages messages;
    std::vector<ComputeTime> compute;
    std::vector<PredictionRow> rows;
    std::vector<PredictionCheck> checks;

    /// The fewest ranks among the rows at which sync costs more than `share` of local's time.
    std::optional<int> first_above(Index batch_size, PredictedForm form, double share) const;
};

/// All rows: each batch size whose computing time is known, at each number of ranks.
LOCKSTEP_EXPORT std::vector<PredictionRow> predict(const std::vector<ComputeTime>& compute,
                                                   const std::vector<int>& ranks,
                                                   const StepMessages& messages, const LinkModel& link);

}  // namespace lockstep
