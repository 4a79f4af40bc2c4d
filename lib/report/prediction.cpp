#include <lockstep/report/prediction.hpp>

#include "../comm/buckets.hpp"

#include <lockstep/comm/exchange_plan.hpp>
#include <lockstep/comm/sum_plan.hpp>

#include <algorithm>

namespace lockstep {
namespace {

constexpr double label_bytes = 64;
constexpr double summary_bytes = 16;
/// As it was, gradients travelled in buckets of so many bytes, of which those below the limit were sent by everyone to
/// everyone.
constexpr Index bucket_bytes = 256 * 1024;
constexpr Index short_limit_bytes = 8192;

double moments_bytes(Index channels) {
    return 8.0 * static_cast<double>(1 + 2 * channels);
}

double sums_bytes(Index channels) {
    return 16.0 * static_cast<double>(channels);
}

double message_seconds(double messages, double bytes, const LinkModel& link) {
    return messages * link.latency_seconds + bytes / link.bandwidth_bytes_per_second;
}

/// `ranks` ranks, of which every so many are a node: the last one may have fewer.
std::vector<std::vector<int>> ranks_by_node(int ranks, int ranks_per_node) {
    std::vector<std::vector<int>> nodes;
    for (int rank = 0; rank < ranks; ++rank) {
        if (rank % ranks_per_node == 0) nodes.emplace_back();
        nodes.back().push_back(rank);
    }
    return nodes;
}

/// A stage of an exchange, as far as the time of the rank goes that has most to do, the first one.
struct StageLoad {
    double sent = 0;     // messages to other nodes
    double read = 0;     // letters of mates, in its memory
    double letters = 0;  // 1 where mates read what it has written, and it reads nothing
    double covered = 1;  // nodes of the tree in each
};

std::vector<StageLoad> stage_loads(int ranks, int ranks_per_node) {
    std::vector<StageLoad> loads;
    if (ranks < 2) return loads;
    const ReplicaMap map(ranks, ranks);
    const Nodes nodes(ranks_by_node(ranks, ranks_per_node), 0);
    const auto is_mate = [&](int rank) { return rank < ranks_per_node; };
    for (const ExchangeStage& stage : plan_exchange(map, map.all(), 0, default_direct_ranks, &nodes)) {
        StageLoad& load = loads.emplace_back();
        double received = 0;
        for (const ExchangePart& part : stage.parts) {
            load.covered = std::max(load.covered, static_cast<double>(part.nodes.size()));
            if (part.rank == 0) continue;
            (is_mate(part.rank) ? load.read : received) += 1;
        }
        for (const int rank : stage.send_to) (is_mate(rank) ? load.letters : load.sent) += 1;
        load.sent = std::max(load.sent, received);
        load.letters = load.letters > 0 && load.read == 0 ? 1 : 0;
    }
    return loads;
}

class ExchangeModel {
  public:
    ExchangeModel(PredictedForm form, int ranks, const ClusterModel& cluster)
        : form_(form),
          ranks_(ranks),
          ranks_per_node_(form == PredictedForm::as_built ? std::min(cluster.ranks_per_node, ranks) : 1),
          between_(ranks > cluster.ranks_per_node ? cluster.between : cluster.within),
          within_(cluster.within) {
        if (form_ != PredictedForm::long_form) stages_ = stage_loads(ranks_, ranks_per_node_);
    }

    double statistics(double bytes) const {
        if (form_ == PredictedForm::long_form) return long_seconds(bytes);
        double seconds = 0;
        for (const StageLoad& stage : stages_) {
            const double size = label_bytes + stage.covered * (bytes - label_bytes);
            seconds += message_seconds(stage.sent, stage.sent * size, between_);
            if (const double read = stage.read + stage.letters; read > 0)
                seconds += message_seconds(1, read * size, within_);
        }
        return seconds;
    }

    double gradients(Index bytes) const {
        if (ranks_ == 1) return 0;
        if (form_ == PredictedForm::as_built) return node_seconds(bytes) + network_seconds(bytes);
        double seconds = 0;
        for (Index rest = bytes; rest > 0; rest -= bucket_bytes) {
            const Index bucket = std::min(rest, bucket_bytes);
            seconds += form_ == PredictedForm::as_it_was && bucket <= short_limit_bytes
                           ? short_seconds(static_cast<double>(bucket))
                           : long_seconds(static_cast<double>(bucket));
        }
        return seconds;
    }

  private:
    /// Adding in memory.
    double node_seconds(Index bytes) const {
        if (ranks_per_node_ == 1) return 0;
        return message_seconds(2, (1 + 1.0 / ranks_per_node_) * static_cast<double>(bytes), within_);
    }
    /// What each rank of a node sends of its slice; they share the node's bandwidth.
    double network_seconds(Index bytes) const {
        const auto nodes = ranks_by_node(ranks_, ranks_per_node_);
        if (nodes.size() == 1) return 0;
        std::vector<ReplicaRange> parties;
        parties.reserve(nodes.size());
        for (const auto& one : nodes) parties.push_back({one.front(), one.back() + 1});
        constexpr Index value_bytes = sizeof(float), line_values = 64 / value_bytes;
        double seconds = 0;
        const Index lane = lane_bytes_between(static_cast<int>(nodes.size()));
        for (Index rest = bytes; rest > 0; rest -= lane * ranks_per_node_) {
            const Index slice = std::min(rest / ranks_per_node_, lane) / value_bytes;
            for (const SumLevel& level : plan_sum(parties, 0, std::max(slice, Index{1}), line_values)) {
                double messages = 0, values = 0;
                for (const SliceMessage& up : level.send) {
                    messages += 1;
                    values += static_cast<double>(up.slice.size()) *
                              static_cast<double>(level.parts[level.own].nodes.size());
                }
                for (const SumPart& part : level.parts)
                    for (const SliceMessage& down : part.receive) {
                        messages += 1;
                        values += static_cast<double>(down.slice.size());
                    }
                seconds += message_seconds(messages, ranks_per_node_ * values * value_bytes, between_);
            }
        }
        return seconds;
    }
    double short_seconds(double bytes) const {
        return message_seconds(ranks_ - 1, (ranks_ - 1) * bytes, between_);
    }
    double long_seconds(double bytes) const {
        return message_seconds(2 * (ranks_ - 1), 2 * (ranks_ - 1) * bytes / ranks_, between_);
    }

    PredictedForm form_;
    int ranks_;
    int ranks_per_node_;
    LinkModel between_, within_;
    std::vector<StageLoad> stages_;
};

}  // namespace

std::string_view to_string(PredictedForm form) {
    switch (form) {
        case PredictedForm::as_it_was:
            return "each rank by itself";
        case PredictedForm::long_form:
            return "reduce-scatter + all-gather";
        case PredictedForm::as_built:
            break;
    }
    return "as built";
}

PredictedStep predict_step(PredictedForm form, int ranks, double compute_seconds,
                           const StepMessages& messages, const ClusterModel& cluster) {
    const ExchangeModel exchange(form, ranks, cluster);
    const double common = compute_seconds + exchange.gradients(messages.gradient_bytes);
    double pooled = 0, synchronized = 0;
    for (std::size_t layer = 0; layer < messages.channels.size(); ++layer) {
        const Index channels = messages.channels[layer];
        pooled += moments_bytes(channels);
        synchronized += exchange.statistics(label_bytes + moments_bytes(channels));
        if (layer > 0 || messages.first_backward)
            synchronized += exchange.statistics(label_bytes + sums_bytes(channels));
    }
    return {common + exchange.statistics(label_bytes + summary_bytes + pooled),
            common + exchange.statistics(label_bytes + summary_bytes) + synchronized};
}

std::optional<int> Prediction::first_above(Index batch_size, PredictedForm form, double share) const {
    const auto at =
        static_cast<std::size_t>(std::ranges::find(predicted_forms, form) - predicted_forms.begin());
    std::optional<int> fewest;
    for (const PredictionRow& row : rows)
        if (row.batch_size == batch_size && row.steps[at].cost() > share)
            fewest = std::min(fewest.value_or(row.ranks), row.ranks);
    return fewest;
}

std::vector<PredictionRow> predict(const std::vector<ComputeTime>& compute, const std::vector<int>& ranks,
                                   const StepMessages& messages, const ClusterModel& cluster) {
    std::vector<PredictionRow> rows;
    for (const ComputeTime& one : compute)
        for (const int count : ranks) {
            PredictionRow& row = rows.emplace_back();
            row.batch_size = one.batch_size;
            row.ranks = count;
            for (std::size_t form = 0; form < predicted_forms.size(); ++form)
                row.steps[form] = predict_step(predicted_forms[form], count, one.seconds, messages, cluster);
        }
    return rows;
}

}  // namespace lockstep
