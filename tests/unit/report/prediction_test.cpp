// The predicted times are those of the formulas that the report states.
#include <lockstep/report/prediction.hpp>

#include <gtest/gtest.h>

namespace lockstep {
namespace {

constexpr double alpha = 2e-6, bandwidth = 1e9, compute = 1e-3;
constexpr double node_alpha = 3e-7, node_bandwidth = 1e10;
const LinkModel network{alpha, bandwidth, false}, memory{node_alpha, node_bandwidth, false};
/// Each rank is a node of its own.
const ClusterModel lone_ranks{network, memory, 1};

/// Of an exchange that is in every step: a label and 16 bytes.
constexpr double summary = 80;

StepMessages gradients_alone(Index bytes) {
    return {.gradient_bytes = bytes, .channels = {}, .first_backward = true};
}

double seconds(PredictedForm form, int ranks, const StepMessages& messages, const ClusterModel& cluster) {
    return predict_step(form, ranks, compute, messages, cluster).local_seconds - compute;
}

TEST(Prediction, AStepIsTheFormula) {
    const StepMessages messages{.gradient_bytes = 4000, .channels = {10, 20}, .first_backward = true};
    const auto exchange = [](int ranks, double bytes) { return (ranks - 1) * (alpha + bytes / bandwidth); };
    for (const int ranks : {2, 8}) {
        const PredictedStep step =
            predict_step(PredictedForm::as_it_was, ranks, compute, messages, lone_ranks);
        const double common = compute + exchange(ranks, 4000);
        EXPECT_NEAR(step.local_seconds, common + exchange(ranks, 80 + 8 * 21 + 8 * 41), 1e-12);
        EXPECT_NEAR(step.sync_seconds,
                    common + exchange(ranks, 80) + exchange(ranks, 64 + 8 * 21) + exchange(ranks, 64 + 160) +
                        exchange(ranks, 64 + 8 * 41) + exchange(ranks, 64 + 320),
                    1e-12);
    }
}

TEST(Prediction, FewNodesSendASliceToEachOther) {
    constexpr Index bytes = 60 * 1024;
    EXPECT_NEAR(seconds(PredictedForm::as_built, 4, gradients_alone(bytes), lone_ranks),
                6 * alpha + 1.5 * bytes / bandwidth + 3 * (alpha + summary / bandwidth), 1e-12);
    // Two buckets are twice the messages.
    EXPECT_NEAR(seconds(PredictedForm::as_built, 4, gradients_alone(8 * bytes), lone_ranks),
                12 * alpha + 1.5 * 8 * bytes / bandwidth + 3 * (alpha + summary / bandwidth), 1e-12);
}

TEST(Prediction, ANodeIsOne) {
    constexpr Index bytes = 64 * 1024;
    const ClusterModel cluster{network, memory, 4};
    EXPECT_NEAR(seconds(PredictedForm::as_built, 16, gradients_alone(bytes), cluster),
                2 * node_alpha + 1.25 * bytes / node_bandwidth + 6 * alpha + 1.5 * bytes / bandwidth +
                    (node_alpha + 3 * summary / node_bandwidth) + 3 * (alpha + summary / bandwidth) +
                    (node_alpha + summary / node_bandwidth),
                1e-12);
    EXPECT_NEAR(seconds(PredictedForm::as_it_was, 16, gradients_alone(bytes), cluster),
                30 * (alpha + bytes / (16 * bandwidth)) + 8 * (alpha + summary / bandwidth), 1e-12);
}

TEST(Prediction, OneNodeNeedsNoNetwork) {
    constexpr Index bytes = 64 * 1024;
    const ClusterModel cluster{network, memory, 8};
    EXPECT_NEAR(seconds(PredictedForm::as_built, 4, gradients_alone(bytes), cluster),
                2 * node_alpha + 1.25 * bytes / node_bandwidth + node_alpha + 3 * summary / node_bandwidth,
                1e-12);
    EXPECT_LT(seconds(PredictedForm::as_it_was, 4, gradients_alone(0), cluster),
              seconds(PredictedForm::as_it_was, 4, gradients_alone(0), lone_ranks));
}

TEST(Prediction, MessagesGrowWithTheLogarithmOfTheNodes) {
    const ClusterModel nothing_but_latency{{1, 1e300, false}, {0, 1e300, false}, 64};
    constexpr Index bytes = 1 << 20;  // less than a bucket for 64 ranks
    for (const auto& [nodes, log2] : {std::pair(2, 1), std::pair(8, 3), std::pair(64, 6)}) {
        const double summaries = nodes <= 8 ? nodes - 1 : 14;
        const double messages =
            seconds(PredictedForm::as_built, 64 * nodes, gradients_alone(bytes), nothing_but_latency) -
            summaries;
        EXPECT_LE(messages, 4 * log2 + 4 + 1e-6) << nodes << " nodes";
        EXPECT_GE(messages, 2) << nodes << " nodes";
    }
}

TEST(Prediction, LongFormIsTheFormula) {
    const StepMessages messages{.gradient_bytes = 4000, .channels = {}, .first_backward = true};
    const auto exchange = [](int ranks, double bytes) {
        return 2 * (ranks - 1) * (alpha + bytes / (ranks * bandwidth));
    };
    const PredictedStep step = predict_step(PredictedForm::long_form, 16, compute, messages, lone_ranks);
    EXPECT_NEAR(step.local_seconds, compute + exchange(16, 4000) + exchange(16, 80), 1e-12);
    EXPECT_NEAR(step.cost(), 0, 1e-12);  // without batch norms there is nothing to synchronize
}

TEST(Prediction, AFirstLayerNeedsNoBackwardExchange) {
    StepMessages messages{.gradient_bytes = 4000, .channels = {10}, .first_backward = true};
    const double with = predict_step(PredictedForm::as_built, 4, compute, messages, lone_ranks).sync_seconds;
    messages.first_backward = false;
    const double without =
        predict_step(PredictedForm::as_built, 4, compute, messages, lone_ranks).sync_seconds;
    EXPECT_NEAR(with - without, 3 * (alpha + (64 + 160) / bandwidth), 1e-12);
}

TEST(Prediction, StatisticsGoInStagesOfEightRanks) {
    const StepMessages messages{.gradient_bytes = 0, .channels = {}, .first_backward = true};
    const double message = alpha + 80 / bandwidth;
    for (const PredictedForm form : {PredictedForm::as_built, PredictedForm::as_it_was})
        for (const auto& [ranks, count] :
             {std::pair(4, 3), std::pair(8, 7), std::pair(64, 14), std::pair(512, 21)})
            EXPECT_NEAR(predict_step(form, ranks, compute, messages, lone_ranks).sync_seconds,
                        compute + count * message, 1e-12)
                << ranks;
}

TEST(Prediction, OneRankPaysNothing) {
    const StepMessages messages{.gradient_bytes = 1 << 20, .channels = {10}, .first_backward = true};
    for (const PredictedForm form : predicted_forms)
        EXPECT_EQ(predict_step(form, 1, compute, messages, lone_ranks).sync_seconds, compute);
}

TEST(Prediction, FindsWhereSyncBeginsToCost) {
    Prediction prediction;
    prediction.compute = {{2, compute}};
    const StepMessages messages{.gradient_bytes = 4000, .channels = {10, 20}, .first_backward = true};
    prediction.rows = predict(prediction.compute, {2, 4, 8, 16, 32, 64, 128}, messages, lone_ranks);
    const auto ranks = prediction.first_above(2, PredictedForm::long_form, 0.05);
    ASSERT_TRUE(ranks);
    EXPECT_GT(predict_step(PredictedForm::long_form, *ranks, compute, messages, lone_ranks).cost(), 0.05);
    EXPECT_LE(predict_step(PredictedForm::long_form, *ranks / 2, compute, messages, lone_ranks).cost(), 0.05);
    EXPECT_FALSE(prediction.first_above(2, PredictedForm::long_form, 100));
    EXPECT_FALSE(prediction.first_above(64, PredictedForm::long_form, 0.05));
}

}  // namespace
}  // namespace lockstep
