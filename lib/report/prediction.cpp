#include <lockstep/comm/exchange_plan.hpp>
#include <lockstep/report/prediction.hpp>

#include <algorithm>

namespace lockstep {
namespace {

constexpr double label_bytes = 64;
constexpr double summary_bytes = 16;
/// As in the library: gradients travel in buckets of so many bytes, those below the limit in the short form.
constexpr Index bucket_bytes = 256 * 1024;
constexpr Index short_limit_bytes = 8192;

double moments_bytes(Index channels) {
    return 8.0 * static_cast<double>(1 + 2 * channels);
}

double sums_bytes(Index channels) {
    return 16.0 * static_cast<double>(channels);
}

/// A stage of an exchange, as far as its time goes.
struct StageLoad {
    double messages;
    double nodes;  // of the tree, in each message
};

/// What the first rank has to do, one replica on each: no rank has more stages.
std::vector<StageLoad> stage_loads(int ranks) {
    std::vector<StageLoad> loads;
    if (ranks < 2) return loads;
    const ReplicaMap map(ranks, ranks);
    for (const ExchangeStage& stage : plan_exchange(map, map.all(), 0)) {
        std::size_t others = 0, nodes = 1;
        for (const ExchangePart& part : stage.parts) {
            others += part.rank != 0;
            nodes = std::max(nodes, part.nodes.size());
        }
        loads.push_back(
            {static_cast<double>(std::max(others, stage.send_to.size())), static_cast<double>(nodes)});
    }
    return loads;
}

class ExchangeModel {
  public:
    ExchangeModel(PredictedForm form, int ranks, const LinkModel& link)
        : form_(form), ranks_(ranks), link_(link) {
        if (form_ == PredictedForm::as_built) stages_ = stage_loads(ranks_);
    }

    double statistics(double bytes) const {
        if (form_ == PredictedForm::as_built) return staged_seconds(bytes);
        return form_ == PredictedForm::long_form ? long_seconds(bytes) : short_seconds(bytes);
    }

    double gradients(Index bytes) const {
        if (form_ == PredictedForm::short_form) return short_seconds(static_cast<double>(bytes));
        if (form_ == PredictedForm::long_form) return long_seconds(static_cast<double>(bytes));
        double seconds = 0;
        for (Index rest = bytes; rest > 0; rest -= bucket_bytes) {
            const Index bucket = std::min(rest, bucket_bytes);
            seconds += bucket > short_limit_bytes ? long_seconds(static_cast<double>(bucket))
                                                  : short_seconds(static_cast<double>(bucket));
        }
        return seconds;
    }

  private:
    double short_seconds(double bytes) const {
        return (ranks_ - 1) * (link_.latency_seconds + bytes / link_.bandwidth_bytes_per_second);
    }
    double staged_seconds(double bytes) const {
        double seconds = 0;
        for (const StageLoad& stage : stages_) {
            const double size = label_bytes + stage.nodes * (bytes - label_bytes);
            seconds += stage.messages * (link_.latency_seconds + size / link_.bandwidth_bytes_per_second);
        }
        return seconds;
    }
    double long_seconds(double bytes) const {
        return 2 * (ranks_ - 1) *
               (link_.latency_seconds + bytes / (ranks_ * link_.bandwidth_bytes_per_second));
    }

    PredictedForm form_;
    int ranks_;
    LinkModel link_;
    std::vector<StageLoad> stages_;
};

}  // namespace

std::string_view to_string(PredictedForm form) {
    switch (form) {
        case PredictedForm::short_form:
            return "one exchange of all";
        case PredictedForm::long_form:
            return "reduce-scatter + all-gather";
        case PredictedForm::as_built:
            break;
    }
    return "as built";
}

PredictedStep predict_step(PredictedForm form, int ranks, double compute_seconds,
                           const StepMessages& messages, const LinkModel& link) {
    const ExchangeModel exchange(form, ranks, link);
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
                                   const StepMessages& messages, const LinkModel& link) {
    std::vector<PredictionRow> rows;
    for (const ComputeTime& one : compute)
        for (const int count : ranks) {
            PredictionRow& row = rows.emplace_back();
            row.batch_size = one.batch_size;
            row.ranks = count;
            for (std::size_t form = 0; form < predicted_forms.size(); ++form)
                row.steps[form] = predict_step(predicted_forms[form], count, one.seconds, messages, link);
        }
    return rows;
}

}  // namespace lockstep
