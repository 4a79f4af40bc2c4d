#include <lockstep/base/error.hpp>
#include <lockstep/train/schedule.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

namespace lockstep {
namespace {

TEST(Schedule, ConstantStaysAtTheFullRate) {
    const Schedule schedule({.learning_rate = 0.3, .epochs = 10});
    for (const double position : {0.0, 0.5, 9.99, 10.0, 50.0}) {
        EXPECT_EQ(schedule.learning_rate_at(position), 0.3);
    }
}

TEST(Schedule, CosineFallsFromTheFullRateToNothing) {
    const Schedule schedule({.kind = ScheduleKind::cosine, .learning_rate = 0.4, .epochs = 8});
    EXPECT_DOUBLE_EQ(schedule.learning_rate_at(0), 0.4);
    EXPECT_DOUBLE_EQ(schedule.learning_rate_at(2), 0.2 * (1 + std::sqrt(0.5)));
    EXPECT_DOUBLE_EQ(schedule.learning_rate_at(4), 0.2);
    EXPECT_DOUBLE_EQ(schedule.learning_rate_at(6), 0.2 * (1 - std::sqrt(0.5)));
    EXPECT_EQ(schedule.learning_rate_at(8), 0);
    EXPECT_EQ(schedule.learning_rate_at(9), 0);
}

TEST(Schedule, CosineStartsWhereTheWarmupEnds) {
    const Schedule schedule(
        {.kind = ScheduleKind::cosine, .learning_rate = 1, .epochs = 10, .warmup_epochs = 2});
    EXPECT_DOUBLE_EQ(schedule.learning_rate_at(2), 1);
    EXPECT_DOUBLE_EQ(schedule.learning_rate_at(6), 0.5);
    EXPECT_EQ(schedule.learning_rate_at(10), 0);
}

TEST(Schedule, StepDropsTenfoldAtHalfAndThreeQuarters) {
    const Schedule schedule({.kind = ScheduleKind::step, .learning_rate = 2, .epochs = 20});
    EXPECT_DOUBLE_EQ(schedule.learning_rate_at(9.999), 2);
    EXPECT_DOUBLE_EQ(schedule.learning_rate_at(10), 0.2);
    EXPECT_DOUBLE_EQ(schedule.learning_rate_at(14.999), 0.2);
    EXPECT_DOUBLE_EQ(schedule.learning_rate_at(15), 0.02);
}

TEST(Schedule, StepDropsWhereAskedTo) {
    const Schedule schedule({.kind = ScheduleKind::step,
                             .learning_rate = 1,
                             .epochs = 20,
                             .step_epochs = std::vector<double>{1, 2.5, 4},
                             .step_factor = 0.5});
    EXPECT_DOUBLE_EQ(schedule.learning_rate_at(0.99), 1);
    EXPECT_DOUBLE_EQ(schedule.learning_rate_at(1), 0.5);
    EXPECT_DOUBLE_EQ(schedule.learning_rate_at(2.5), 0.25);
    EXPECT_DOUBLE_EQ(schedule.learning_rate_at(19), 0.125);
    const Schedule never({.kind = ScheduleKind::step, .epochs = 4, .step_epochs = std::vector<double>{}});
    EXPECT_DOUBLE_EQ(never.learning_rate_at(3.9), 0.1);
}

TEST(Schedule, WarmupRisesInAStraightLineInEveryKind) {
    for (const auto kind : {ScheduleKind::constant, ScheduleKind::cosine, ScheduleKind::step}) {
        const Schedule schedule({.kind = kind,
                                 .learning_rate = 2,
                                 .epochs = 20,
                                 .warmup_epochs = 4,
                                 .warmup_start_factor = 0.25});
        EXPECT_DOUBLE_EQ(schedule.learning_rate_at(0), 0.5);
        EXPECT_DOUBLE_EQ(schedule.learning_rate_at(1), 0.875);
        EXPECT_DOUBLE_EQ(schedule.learning_rate_at(2), 1.25);
        EXPECT_DOUBLE_EQ(schedule.learning_rate_at(4), 2);
    }
    // The first step must not be lost to a rate of nothing.
    EXPECT_GT(Schedule({.epochs = 5, .warmup_epochs = 5}).learning_rate_at(0), 0);
}

TEST(Schedule, RefusesOptionsThatMakeNoSense) {
    const double nan = std::nan("");
    const std::vector<ScheduleOptions> wrong{
        {.learning_rate = -1},
        {.learning_rate = nan},
        {.epochs = -1},
        {.epochs = 3, .warmup_epochs = 4},
        {.epochs = 3, .warmup_epochs = -1},
        {.epochs = 3, .warmup_epochs = nan},
        {.warmup_start_factor = 2},
        {.step_epochs = std::vector<double>{2, 1}},
        {.step_epochs = std::vector<double>{-1, 1}},
        {.step_epochs = std::vector<double>{nan}},
        {.step_factor = 0},
        {.step_factor = 1.5},
    };
    for (std::size_t i = 0; i < wrong.size(); ++i)
        EXPECT_THROW(Schedule{wrong[i]}, UsageError) << "case " << i;
}

TEST(Schedule, NamesSurviveBothWays) {
    for (const auto kind : {ScheduleKind::constant, ScheduleKind::cosine, ScheduleKind::step}) {
        EXPECT_EQ(parse_schedule_kind(to_string(kind)), kind);
    }
    EXPECT_THROW(parse_schedule_kind("linear"), UsageError);
}

}  // namespace
}  // namespace lockstep
