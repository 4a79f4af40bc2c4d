// Ranks that are about to do different things learn it, all of them, before anything depends on it.
#include <lockstep/base/error.hpp>
#include <lockstep/comm/agreement.hpp>

#include "support/mpi_values.hpp"

#include <gtest/gtest.h>

#include <string>

namespace lockstep {
namespace {

using testing::contains;
using testing::error_of;
using testing::promptly;
using testing::Watch;
using testing::world_size;

TEST(Agreement, OfRanksThatAgreeSaysNothing) {
    const Communicator world(MPI_COMM_WORLD);
    for (int i = 0; i < 3; ++i)
        EXPECT_NO_THROW(
            check_agreement(world, "a test", {{"seed", "1"}, {"text", "with spaces = and ; too"}}));
    EXPECT_NO_THROW(check_agreement(world, "nothing at all", {}));
}

TEST(Agreement, NamesEverySettingThatDiffersItsValuesAndTheRanksOnEveryRank) {
    if (world_size() == 1) return;
    const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 30});
    for (int odd = 0; odd < world.size(); ++odd) {
        const bool mine = world.rank() == odd;
        const Watch watch;
        const std::string text = error_of<CommunicationError>([&] {
            Settings settings{{"seed", "1"}, {"rate", mine ? "0.2" : "0.1"}, {"batch", "32"}};
            if (mine) settings.emplace_back("decay", "0.5");
            check_agreement(world, "a test", settings);
        });
        EXPECT_LT(watch.seconds(), promptly());
        const std::string rank = " on rank " + std::to_string(odd);
        for (const std::string& part :
             {std::string("a test"), std::string("rate"), "0.2" + rank, std::string("0.1 on rank "),
              std::string("decay"), "0.5" + rank, std::string("(not set)")})
            EXPECT_TRUE(contains(text, part)) << text;
        for (const char* part : {"seed", "batch"}) EXPECT_FALSE(contains(text, part)) << text;
    }
    // All have taken part: nothing is broken.
    EXPECT_EQ(world.all_gather("x", "afterwards").size(), static_cast<std::size_t>(world.size()));
}

TEST(Agreement, AFaultOfOneRankReachesAll) {
    if (world_size() == 1) return;
    const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 30});
    const Watch watch;
    const std::string text = error_of<CommunicationError>(
        [&] { check_agreement(world, "a test", {}, world.rank() == 1 ? "epsilon must be positive" : ""); });
    EXPECT_TRUE(contains(text, "a test failed on rank 1: epsilon must be positive")) << text;
    EXPECT_FALSE(contains(text, "do not agree")) << text;
    EXPECT_LT(watch.seconds(), promptly());
}

TEST(Agreement, DifferentFaultsAreNamedWithTheirRanks) {
    if (world_size() == 1) return;
    const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 30});
    const std::string text = error_of<CommunicationError>([&] {
        check_agreement(world, "reading", {}, world.rank() == 0 ? "sample 3 is NaN" : "sample 8 is NaN");
    });
    EXPECT_TRUE(contains(text, "reading failed on rank 0: sample 3 is NaN; on rank 1")) << text;
    EXPECT_TRUE(contains(text, ": sample 8 is NaN")) << text;
}

TEST(Agreement, AFaultOfAllRanksIsThrownAsItIs) {
    const Communicator world(MPI_COMM_WORLD);
    EXPECT_EQ(error_of<UsageError>([&] { check_agreement(world, "a test", {}, "no such thing"); }),
              "no such thing");
}

TEST(Agreement, FindsTheLargestNumber) {
    const Communicator world(MPI_COMM_WORLD);
    EXPECT_EQ(check_agreement(world, "a test", {}, "", 100 - world.rank()), 100);
    EXPECT_EQ(check_agreement(world, "a test", {}, "", world.rank()), world.size() - 1);
}

TEST(Agreement, OnDifferentSubjectsNamesBoth) {
    if (world_size() == 1) return;
    const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 30});
    const std::string text = error_of<CommunicationError>(
        [&] { check_agreement(world, world.rank() == 0 ? "the training" : "the layer", {}); });
    EXPECT_TRUE(contains(text, "the training")) << text;
    EXPECT_TRUE(contains(text, "the layer")) << text;
    MPI_Barrier(MPI_COMM_WORLD);
}

}  // namespace
}  // namespace lockstep
