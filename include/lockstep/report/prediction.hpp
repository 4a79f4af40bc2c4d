/// What a training step would take on a cluster: measured computing time plus a latency–bandwidth model of two levels.
///
/// Between nodes a message of n bytes takes α + n/B, and the messages that a rank sends leave one after the other; the
/// ranks of a node share B. Within a node what a rank writes to memory is there after α', and is read at B' bytes a
/// second. N nodes have k ranks each, P in all, with one replica on each rank; G are the bytes of the gradients, L the
/// batch norms of c_l channels, and each statistics message begins with a label of 64 bytes.
///
/// As built the node is one (plans: exchange_plan.hpp, sum_plan.hpp):
///
///     statistics   S(n) = α' + (k − 1)·n/B'                          the sender of a node reads what its mates have
///                         + Σ over stages of m ≤ 8 nodes (m − 1)·(α + n/B)
///                         + α' + n/B'                                the mates read the result
///     gradients    T(G) = 2·α' + (1 + 1/k)·G/B'                      each rank adds its slice
///                         + Σ over the plan's messages (α + k·bytes/B)
///
/// What needs no node or no memory is left out where there is one alone. As it was each rank is a node of its own, and
/// gradients go by reduce-scatter and all-gather:
///
///     T(n) = 2·(P − 1)·(α + n/(P·B))         in buckets; those up to 8 KiB (P − 1)·(α + n/B)
///
/// So do statistics, too, where all goes that way. A step is then
///
///     step(local) = compute + T(G) + S(64 + 16 + Σ_l 8·(1 + 2·c_l))
///     step(sync)  = compute + T(G) + S(64 + 16) + Σ_l [S(64 + 8·(1 + 2·c_l)) + S(64 + 16·c_l)]
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

struct ClusterModel {
    LinkModel between;  ///< nodes: α, B
    LinkModel within;   ///< a node: α', B'
    int ranks_per_node = 1;
};

/// What crosses ranks in a step.
struct StepMessages {
    Index gradient_bytes = 0;
    std::vector<Index> channels;  ///< of each batch norm
    bool first_backward = true;   ///< whether the first batch norm has layers before it
};

enum class PredictedForm {
    as_built,   ///< the node is one
    as_it_was,  ///< each rank a node of its own
    long_form,  ///< the same, and statistics as gradients
};
inline constexpr std::array predicted_forms = {PredictedForm::as_built, PredictedForm::as_it_was,
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
                                           const StepMessages& messages, const ClusterModel& cluster);

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
    ClusterModel cluster;
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
                                                   const StepMessages& messages, const ClusterModel& cluster);

}  // namespace lockstep
