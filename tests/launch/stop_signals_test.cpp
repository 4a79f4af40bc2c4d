// What a signal does to the process beside being noted.
#include "launch/stop_signals.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <thread>

namespace lockstep::launch {
namespace {

TEST(StopSignals, TheFirstIsNotedAndASecondCopyOfItDoesNoHarm) {
    note_stop_signals();
    EXPECT_EQ(noted_stop_signal(), 0);
    std::raise(SIGTERM);
    EXPECT_EQ(noted_stop_signal(), SIGTERM);
    std::raise(SIGTERM);
    std::raise(SIGUSR1);
    EXPECT_EQ(noted_stop_signal(), SIGTERM);
}

TEST(StopSignalsDeathTest, ALaterOneEndsTheProcess) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    const auto twice = [] {
        note_stop_signals();
        std::raise(SIGTERM);
        std::this_thread::sleep_for(std::chrono::milliseconds(600));
        std::raise(SIGUSR1);
    };
    EXPECT_EXIT(twice(), testing::KilledBySignal(SIGUSR1), "");
}

}  // namespace
}  // namespace lockstep::launch
