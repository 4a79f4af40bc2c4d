// The predicted times are those of the formulas that the report states.
#include <lockstep/report/prediction.hpp>

#include <gtest/gtest.h>

namespace lockstep {
namespace {

constexpr double alpha = 2e-6, bandwidth = 1e9, compute = 1e-3;
const LinkModel network{alpha, bandwidth, false};

TEST(Prediction, ShortFormIsTheFormula) {
    const StepMessages messages{.gradient_bytes = 4000, .channels = {10, 20}, .first_backward = true};
    const auto exchange = [](int ranks, double bytes) { return (ranks - 1) * (alpha + bytes / bandwidth); };
    for (const int ranks : {2, 8, 100}) {
        const PredictedStep step = predict_step(PredictedForm::short_form, ranks, compute, messages, network);
        const double common = compute + exchange(ranks, 4000);
        EXPECT_NEAR(step.local_seconds, common + exchange(ranks, 80 + 8 * 21 + 8 * 41), 1e-12);
        EXPECT_NEAR(step.sync_seconds,
                    common + exchange(ranks, 80) + exchange(ranks, 64 + 8 * 21) + exchange(ranks, 64 + 160) +
                        exchange(ranks, 64 + 8 * 41) + exchange(ranks, 64 + 320),
                    1e-12);
    }
}

TEST(Prediction, LongFormIsTheFormula) {
    const StepMessages messages{.gradient_bytes = 4000, .channels = {}, .first_backward = true};
    const auto exchange = [](int ranks, double bytes) {
        return 2 * (ranks - 1) * (alpha + bytes / (ranks * bandwidth));
    };
    const PredictedStep step = predict_step(PredictedForm::long_form, 16, compute, messages, network);
    EXPECT_NEAR(step.local_seconds, compute + exchange(16, 4000) + exchange(16, 80), 1e-12);
    EXPECT_NEAR(step.cost(), 0, 1e-12);  // without batch norms there is nothing to synchronize
}

TEST(Prediction, AFirstLayerNeedsNoBackwardExchange) {
    StepMessages messages{.gradient_bytes = 4000, .channels = {10}, .first_backward = true};
    const double with = predict_step(PredictedForm::as_built, 4, compute, messages, network).sync_seconds;
    messages.first_backward = false;
    const double without = predict_step(PredictedForm::as_built, 4, compute, messages, network).sync_seconds;
    EXPECT_NEAR(with - without, 3 * (alpha + (64 + 160) / bandwidth), 1e-12);
}

TEST(Prediction, AsBuiltStatisticsGoInStagesOfEightRanks) {
    const StepMessages messages{.gradient_bytes = 0, .channels = {}, .first_backward = true};
    const double message = alpha + 80 / bandwidth;
    for (const auto& [ranks, count] :
         {std::pair(4, 3), std::pair(8, 7), std::pair(64, 14), std::pair(512, 21)})
        EXPECT_NEAR(predict_step(PredictedForm::as_built, ranks, compute, messages, network).sync_seconds,
                    compute + count * message, 1e-12)
            << ranks;
}

TEST(Prediction, OneRankPaysNothing) {
    const StepMessages messages{.gradient_bytes = 1 << 20, .channels = {10}, .first_backward = true};
    for (const PredictedForm form : predicted_forms)
        EXPECT_EQ(predict_step(form, 1, compute, messages, network).sync_seconds, compute);
}

TEST(Prediction, FindsWhereSyncBeginsToCost) {
    Prediction prediction;
    prediction.compute = {{2, compute}};
    const StepMessages messages{.gradient_bytes = 4000, .channels = {10, 20}, .first_backward = true};
    prediction.rows = predict(prediction.compute, {2, 4, 8, 16, 32, 64, 128}, messages, network);
    const auto ranks = prediction.first_above(2, PredictedForm::short_form, 0.05);
    ASSERT_TRUE(ranks);
    EXPECT_GT(predict_step(PredictedForm::short_form, *ranks, compute, messages, network).cost(), 0.05);
    EXPECT_LE(predict_step(PredictedForm::short_form, *ranks / 2, compute, messages, network).cost(), 0.05);
    EXPECT_FALSE(prediction.first_above(2, PredictedForm::short_form, 100));
    EXPECT_FALSE(prediction.first_above(64, PredictedForm::short_form, 0.05));
}

}  // namespace
}  // namespace lockstep
