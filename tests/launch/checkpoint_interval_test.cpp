// How often: what is read comes back, and when it is due.
#include "launch/checkpoint_interval.hpp"

#include <gtest/gtest.h>

namespace lockstep::launch {
namespace {

using namespace std::chrono_literals;

CheckpointInterval read(const std::string& text) {
    return checkpoint_interval_text().read(text);
}

TEST(CheckpointInterval, IsReadAsItIsWritten) {
    for (const char* text : {"1", "20", "1steps", "500steps", "90s", "10min", "2h"})
        EXPECT_EQ(checkpoint_interval_text().write(read(text)), text);
    EXPECT_EQ(checkpoint_interval_text().write(read("3epochs")), "3");
    EXPECT_EQ(checkpoint_interval_text().write(read("1step")), "1steps");
    for (const char* text :
         {"", "0", "-1", "0steps", "steps", "1.5", "10 min", "10minutes", "1e3", "99999999999999999999"})
        EXPECT_THROW(read(text), UsageError) << text;
}

TEST(CheckpointInterval, OfEpochsIsDueAtTheirEnd) {
    EXPECT_TRUE(is_due(read("2"), {.epoch = 4, .step = 40, .epoch_ended = true}));
    EXPECT_FALSE(is_due(read("2"), {.epoch = 5, .step = 50, .epoch_ended = true}));
    EXPECT_FALSE(is_due(read("2"), {.epoch = 4, .step = 41}));
}

TEST(CheckpointInterval, OfStepsCountsThoseOfTheRun) {
    EXPECT_TRUE(is_due(read("7steps"), {.epoch = 1, .step = 14}));
    EXPECT_FALSE(is_due(read("7steps"), {.epoch = 1, .step = 15}));
    EXPECT_TRUE(is_due(read("7steps"), {.epoch = 7, .step = 70, .epoch_ended = true}));
}

TEST(CheckpointInterval, OfTimeIsSinceTheLast) {
    EXPECT_TRUE(is_due(read("10min"), {.step = 3, .since_last = 10min}));
    EXPECT_FALSE(is_due(read("10min"), {.step = 3, .since_last = 10min - 1ms}));
    EXPECT_TRUE(is_due(read("2h"), {.epoch = 1, .step = 3, .epoch_ended = true, .since_last = 120min}));
    EXPECT_FALSE(is_due(read("2h"), {.epoch = 1, .step = 3, .epoch_ended = true, .since_last = 119min}));
    EXPECT_TRUE(is_due(read("90s"), {.step = 3, .since_last = 90s}));
}

}  // namespace
}  // namespace lockstep::launch
