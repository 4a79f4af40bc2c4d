// A Communicator is made by all ranks together, or there is an error on all of them: in time, and without a trace on
// the parent.
#include <lockstep/base/error.hpp>
#include <lockstep/comm/communicator.hpp>

#include "support/mpi_values.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

namespace lockstep {
namespace {

using testing::contains;
using testing::error_of;
using testing::promptly;
using testing::Watch;
using testing::world_rank;
using testing::world_size;

std::string error_of_making(double timeout_seconds) {
    return error_of<CommunicationError>(
        [&] { const Communicator refused(MPI_COMM_WORLD, {.timeout_seconds = timeout_seconds}); });
}

void expect_that_all_can_exchange(const Communicator& communicator) {
    const auto ranks = communicator.all_gather(std::to_string(communicator.rank()), "test");
    ASSERT_EQ(ranks.size(), static_cast<std::size_t>(communicator.size()));
    for (std::size_t rank = 0; rank < ranks.size(); ++rank) EXPECT_EQ(ranks[rank], std::to_string(rank));
}

TEST(Construction, RefusesWhatItCannotUse) {
    EXPECT_THROW(Communicator{MPI_COMM_NULL}, UsageError);
    EXPECT_THROW(Communicator(MPI_COMM_WORLD, {.timeout_seconds = 0}), UsageError);
    EXPECT_THROW(Communicator(MPI_COMM_WORLD, {.timeout_seconds = std::numeric_limits<double>::infinity()}),
                 UsageError);
    EXPECT_THROW(Communicator(MPI_COMM_WORLD, {.timeout_seconds = std::nan("")}), UsageError);
}

TEST(Construction, RefusesAnIntercommunicator) {
    if (world_size() < 2) return;
    MPI_Comm half = MPI_COMM_NULL, inter = MPI_COMM_NULL;
    const int side = world_rank() == 0 ? 0 : 1;
    MPI_Comm_split(MPI_COMM_WORLD, side, world_rank(), &half);
    MPI_Intercomm_create(half, 0, MPI_COMM_WORLD, side == 0 ? 1 : 0, 99, &inter);
    EXPECT_TRUE(contains(error_of<UsageError>([&] { Communicator refused(inter); }), "merge"));
    MPI_Comm_free(&inter);
    MPI_Comm_free(&half);
}

TEST(Construction, ARankThatDoesNotComeIsAnErrorAfterTheTimeout) {
    if (world_size() == 1) return;
    for (int missing = 0; missing < world_size(); ++missing) {
        if (world_rank() != missing) {
            const Watch watch;
            const std::string text = error_of_making(0.3);
            EXPECT_GE(watch.seconds(), 0.25);
            EXPECT_LT(watch.seconds(), 0.3 + promptly());
            EXPECT_TRUE(contains(text, "time-out after 0.3 s")) << text;
            EXPECT_TRUE(contains(text, "rank " + std::to_string(world_rank()) + " of ")) << text;
            EXPECT_TRUE(contains(text, "not every rank")) << text;
            // What was given up is in nobody's way.
            expect_that_all_can_exchange(Communicator::self());
        }
        MPI_Barrier(MPI_COMM_WORLD);
        if (world_rank() == missing) {
            const Watch watch;
            const std::string text = error_of_making(20);
            EXPECT_LT(watch.seconds(), promptly()) << "a rank that comes too late is told at once";
            EXPECT_TRUE(contains(text, "rank " + std::to_string(missing == 0 ? 1 : 0) + " has waited"))
                << text;
        }
        // All ranks have failed, and can try again.
        expect_that_all_can_exchange(Communicator(MPI_COMM_WORLD, {.timeout_seconds = 20}));
    }
}

TEST(Construction, OverGroupsOfRanksConcernsTheseAlone) {
    MPI_Comm group = MPI_COMM_NULL;
    MPI_Comm_split(MPI_COMM_WORLD, world_rank() % 2, 0, &group);
    // Rank 1's group, if it has more ranks, waits for rank 1 in vain: the others do not notice.
    const bool has_gap = world_rank() % 2 == 1 && world_size() > 3;
    const auto make = [&] { return Communicator(group, {.timeout_seconds = has_gap ? 0.3 : 20}); };
    if (!has_gap) {
        expect_that_all_can_exchange(make());
    } else if (world_rank() != 1) {
        const std::string text = error_of<CommunicationError>(make);
        EXPECT_TRUE(contains(text, "time-out")) << text;
    }
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Comm_free(&group);
}

TEST(Construction, ByASplitEndsInTimeToo) {
    if (world_size() == 1) return;
    const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 0.3});
    if (world_rank() != 0) {
        const std::string text = error_of<CommunicationError>([&] { world.split(0, 0); });
        EXPECT_TRUE(contains(text, "splitting a communicator")) << text;
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

}  // namespace
}  // namespace lockstep
