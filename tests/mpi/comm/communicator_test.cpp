// Our communicator is a duplicate: it meets no message of the caller's, outlives the caller's handle, and its
// waits end.
#include <lockstep/base/error.hpp>
#include <lockstep/comm/communicator.hpp>

#include "support/mpi_values.hpp"

#include <gtest/gtest.h>

#include <optional>

namespace lockstep {
namespace {

using testing::contains;
using testing::error_of;
using testing::world_rank;
using testing::world_size;

TEST(Communicator, IsADuplicateThatOutlivesTheCallersHandle) {
    MPI_Comm theirs = MPI_COMM_NULL;
    MPI_Comm_dup(MPI_COMM_WORLD, &theirs);
    std::optional<Communicator> ours(theirs);
    MPI_Comm_free(&theirs);
    int relation = MPI_UNEQUAL;
    MPI_Comm_compare(ours->handle(), MPI_COMM_WORLD, &relation);
    EXPECT_EQ(relation, MPI_CONGRUENT);
    EXPECT_EQ(ours->rank(), world_rank());
    EXPECT_EQ(ours->size(), world_size());
    const Communicator copy = *ours;
    ours.reset();
    EXPECT_EQ(copy.all_gather("x", "test").size(), static_cast<std::size_t>(world_size()));
}

TEST(Communicator, GathersTextsOfAnyLengthByRank) {
    const Communicator world(MPI_COMM_WORLD);
    const auto texts = world.all_gather(std::string(static_cast<std::size_t>(world.rank()), 'r'), "texts");
    ASSERT_EQ(texts.size(), static_cast<std::size_t>(world.size()));
    for (std::size_t rank = 0; rank < texts.size(); ++rank) EXPECT_EQ(texts[rank], std::string(rank, 'r'));
}

TEST(Communicator, SplitsByColorAndOrdersByKey) {
    const Communicator world(MPI_COMM_WORLD);
    const Communicator reversed = world.split(0, -world.rank());
    EXPECT_EQ(reversed.rank(), world.size() - 1 - world.rank());
    const Communicator parity = world.split(world.rank() % 2, world.rank());
    EXPECT_EQ(parity.size(), (world.size() + 1 - world.rank() % 2) / 2);
    EXPECT_EQ(Communicator::self().size(), 1);
}

TEST(Communicator, WaitingForAllLastsAsLongAsThereAreSignsOfLife) {
    if (world_size() == 1) return;
    const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 0.5});
    const testing::Watch watch;
    if (world.rank() == 0)
        while (watch.seconds() < 1.5) world.show_life(1);
    EXPECT_NO_THROW(world.wait_for_all("a long computation"));
    EXPECT_GE(watch.seconds(), 1.0) << "twice the time-out; rank 0 has a watch of its own";
    // What was sent has been received, and disturbs nobody.
    EXPECT_EQ(world.all_gather("x", "afterwards").size(), static_cast<std::size_t>(world.size()));
}

TEST(Communicator, WaitingForAllEndsWhereThereAreNone) {
    if (world_size() == 1) return;
    const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 0.5});
    if (world.rank() == 0) {
        world.show_life(1);
    } else {
        const testing::Watch watch;
        const std::string text =
            error_of<CommunicationError>([&] { world.wait_for_all("a long computation"); });
        EXPECT_TRUE(contains(text, "a long computation")) << text;
        EXPECT_LT(watch.seconds(), 5.0);
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

TEST(Communicator, AGatherThatSomeoneSkipsEndsInAnErrorForAll) {
    if (world_size() == 1) return;
    const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 0.5});
    if (world.rank() != 0) {
        const std::string text =
            error_of<CommunicationError>([&] { world.all_gather("x", "comparing models"); });
        EXPECT_TRUE(contains(text, "comparing models")) << text;
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

}  // namespace
}  // namespace lockstep
