#include "study_prediction.hpp"

#include "study_runner.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/comm/nodes.hpp>
#include <lockstep/comm/tags.hpp>
#include <lockstep/train/trainer.hpp>

#include <mpi.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace lockstep::launch {
namespace {

constexpr Index timed_steps = 60;

/// Seconds that each of some messages of `bytes` takes one way between rank 0 and the peer: half of a round trip. Nothing
/// elsewhere.
std::vector<double> one_way_seconds(const Communicator& communicator, int peer_of_0, int bytes,
                                    int round_trips) {
    const int me = communicator.rank();
    if (me != 0 && me != peer_of_0) return {};
    const int peer = me == 0 ? peer_of_0 : 0;
    std::vector<char> message(static_cast<std::size_t>(bytes));
    constexpr const char* what = "measuring the link";
    MPI_Request request = MPI_REQUEST_NULL;
    const auto finish = [&](int code) {
        communicator.check(code, what);
        communicator.wait(request, what);
    };
    const auto send = [&] {
        finish(MPI_Isend(message.data(), bytes, MPI_CHAR, peer, tags::ping.first, communicator.handle(),
                         &request));
    };
    const auto receive = [&] {
        finish(MPI_Irecv(message.data(), bytes, MPI_CHAR, peer, tags::ping.first, communicator.handle(),
                         &request));
    };
    std::vector<double> times;
    for (int i = 0; i < round_trips; ++i) {
        const double start = MPI_Wtime();
        if (me == 0) send();
        receive();
        if (me != 0) send();
        times.push_back((MPI_Wtime() - start) / 2);
    }
    return times;
}

/// Rank 0's values, on every rank.
template <std::size_t Count>
void take_from_rank_0(std::array<double, Count>& values, const Communicator& communicator) {
    std::vector<int> bytes(static_cast<std::size_t>(communicator.size()), 0);
    bytes[0] = static_cast<int>(sizeof values);
    const std::array<double, Count> mine = values;
    communicator.all_gather(mine.data(), values.data(), bytes, "sharing measured times");
}

/// The median of as many messages as fit into some time: slow links take few.
double median_one_way(const Communicator& communicator, int peer_of_0, int bytes) {
    constexpr int tried = 10, most = 2000;
    constexpr double seconds = 0.2;
    std::array<double, 1> found{};
    const auto try_it = [&](int round_trips) {
        const std::vector<double> times = one_way_seconds(communicator, peer_of_0, bytes, round_trips);
        if (communicator.rank() == 0) found[0] = median(times);
        take_from_rank_0(found, communicator);
        return found[0];
    };
    const double first = try_it(tried);
    return try_it(
        static_cast<int>(std::clamp(seconds / std::max(2 * first, 1e-9), double{tried}, double{most})));
}

LinkModel measured_link(const Communicator& communicator, int peer_of_0) {
    constexpr int large = 1 << 20;
    const double latency = median_one_way(communicator, peer_of_0, 1);
    const double whole = median_one_way(communicator, peer_of_0, large);
    return {.latency_seconds = latency,
            .bandwidth_bytes_per_second = large / std::max(whole - latency, 1e-9),
            .measured = true};
}

/// The ranks at hand, numbered node by node, and their links as measured: rank 0's to the last of its own node, and to
/// the last of all. Where there is one of the two alone it stands for both; where there is none, nothing is known.
ClusterModel cluster_at_hand(const Communicator& by_node) {
    const int last = by_node.size() - 1;
    const std::shared_ptr<const Nodes> nodes = nodes_of(by_node);
    const int mate = static_cast<int>(nodes->ranks_of(0).size()) - 1;
    ClusterModel cluster;
    cluster.ranks_per_node = nodes->largest();
    if (last == 0) return cluster;
    cluster.between = measured_link(by_node, last);
    cluster.within = mate > 0 && mate < last ? measured_link(by_node, mate) : cluster.between;
    return cluster;
}

/// What is given, and the rest as measured.
LinkModel link_of(const std::optional<double>& latency, const std::optional<double>& bandwidth,
                  const LinkModel& measured) {
    return {.latency_seconds = latency.value_or(measured.latency_seconds),
            .bandwidth_bytes_per_second = bandwidth.value_or(measured.bandwidth_bytes_per_second),
            .measured = !latency || !bandwidth};
}

ClusterModel wanted_cluster(const StudyOptions& study, const ClusterModel& at_hand) {
    return {
        .between = link_of(study.latency_seconds, study.bandwidth_bytes_per_second, at_hand.between),
        .within = link_of(study.node_latency_seconds, study.node_bandwidth_bytes_per_second, at_hand.within),
        .ranks_per_node = study.ranks_per_node};
}

/// Whether something must be measured that the prediction takes.
bool wants_measured_link(const StudyOptions& study) {
    const bool node =
        study.ranks_per_node > 1 && (!study.node_latency_seconds || !study.node_bandwidth_bytes_per_second);
    return node || !study.latency_seconds || !study.bandwidth_bytes_per_second;
}

StepMessages messages_of(const StudyOptions& study, const DatasetPair& data) {
    const Network<float> network(parse_model(study.run.trainer.model), data.train->input_shape(),
                                 {.communicator = Communicator::self(),
                                  .placement = {},
                                  .epsilon = study.run.trainer.epsilon,
                                  .momentum = study.run.trainer.running_momentum});
    StepMessages messages;
    messages.gradient_bytes = network.layout().parameter_values() * static_cast<Index>(sizeof(float));
    for (const BatchNorm<float>* layer : network.batch_norms())
        messages.channels.push_back(layer->norm().channels());
    messages.first_backward =
        network.batch_norms().empty() || network.batch_norms().front()->prefix() != "0.";
    return messages;
}

/// The median time of a step with one replica on each rank of the communicator; NaN where it cannot train.
double step_seconds(const StudyOptions& study, const DatasetPair& data, const Communicator& communicator,
                    Index batch_size, StatisticsScope scope, const std::function<void()>& after_each) {
    TrainerOptions options = study.run.trainer;
    options.batch_norm = {.scope = scope};
    options.replicas = communicator.size();
    options.batch_size = batch_size;
    options.precise_batches = 0;
    // Time is all that matters: no step may diverge.
    options.schedule = {.kind = ScheduleKind::constant, .learning_rate = 1e-9, .epochs = 1};
    try {
        Trainer<float> trainer(options, *data.train, communicator);
        std::vector<double> times;
        for (Index step = 0; step < std::min(timed_steps, trainer.steps_per_epoch()); ++step) {
            const double start = MPI_Wtime();
            trainer.step(step);
            times.push_back(MPI_Wtime() - start);
            after_each();
        }
        return median(times);
    } catch (const UsageError&) {  // one value per channel in a replica
        return std::nan("");
    }
}

/// What a step takes on `ranks` ranks, all at work at once.
struct MeasuredSteps {
    double compute = 0;
    PredictedStep step;
};

MeasuredSteps measure_steps(const StudyOptions& study, const DatasetPair& data, const Communicator& all,
                            int ranks, Index batch_size) {
    const bool works = all.rank() < ranks;
    const Communicator part = all.split(works ? 0 : 1, all.rank());
    std::array<double, 3> times{};
    const auto show_life = [&] {
        if (all.rank() == 0) all.show_life(ranks);
    };
    if (works) {
        times[0] = mean_over_ranks(
            step_seconds(study, data, Communicator::self(), batch_size, StatisticsScope::local, show_life),
            part);
        if (ranks > 1) {
            times[1] = mean_over_ranks(
                step_seconds(study, data, part, batch_size, StatisticsScope::local, show_life), part);
            times[2] = mean_over_ranks(
                step_seconds(study, data, part, batch_size, StatisticsScope::sync, show_life), part);
        }
    }
    all.wait_for_all("waiting for measured steps");
    take_from_rank_0(times, all);
    return {times[0], {times[1], times[2]}};
}

/// Doubled, and all of them at last.
int next_checked(int ranks, int all) {
    return ranks < all ? std::min(2 * ranks, all) : all + 1;
}

}  // namespace

void check_prediction(const StudyOptions& study, const Communicator& communicator) {
    if (study.predicted_ranks.empty() || communicator.size() > 1) return;
    if (wants_measured_link(study))
        throw UsageError(
            "predict: one rank has no link to measure: give --latency and --bandwidth" +
            std::string(study.ranks_per_node > 1 ? ", --node-latency and --node-bandwidth" : "") +
            ", or start at least two ranks");
}

Prediction measure_and_predict(const StudyOptions& study, const DatasetPair& data,
                               const Communicator& communicator) {
    const Communicator ordered = by_node(communicator);
    const ClusterModel at_hand = cluster_at_hand(ordered);
    Prediction prediction;
    prediction.cluster = wanted_cluster(study, at_hand);
    prediction.messages = messages_of(study, data);
    for (const Index batch_size : study.batch_sizes) {
        const double seconds = measure_steps(study, data, ordered, 1, batch_size).compute;
        if (!std::isnan(seconds)) prediction.compute.push_back({batch_size, seconds});
    }
    for (int ranks = 2; ranks <= ordered.size(); ranks = next_checked(ranks, ordered.size()))
        for (const ComputeTime& one : prediction.compute) {
            const MeasuredSteps measured = measure_steps(study, data, ordered, ranks, one.batch_size);
            prediction.checks.push_back(
                {ranks, one.batch_size,
                 predict_step(PredictedForm::as_built, ranks, measured.compute, prediction.messages, at_hand),
                 measured.step});
        }
    prediction.rows =
        predict(prediction.compute, study.predicted_ranks, prediction.messages, prediction.cluster);
    return prediction;
}

}  // namespace lockstep::launch
