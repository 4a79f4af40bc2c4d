// begin and end: the bits of the blocking calls, several layers under way, and an error for whoever mixes
// them up.
#include <lockstep/base/error.hpp>
#include <lockstep/norm/sync_batch_norm.hpp>

#include "support/global_batch.hpp"
#include "support/mpi_values.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

using testing::contains;
using testing::error_of;
using testing::normal_values;
using testing::world_rank;

struct Data {
    BatchShape shape{4, 5};
    std::vector<float> x =
        normal_values<float>(4 * 5 * 30, 1.0, 2.0, static_cast<std::uint64_t>(world_rank()));
    std::vector<float> dz =
        normal_values<float>(x.size(), 0.0, 1.0, 50 + static_cast<std::uint64_t>(world_rank()));
    std::vector<float> z = std::vector<float>(x.size()), dx = z;
    BatchMoments saved;
};

TEST(Nonblocking, GivesTheBitsOfTheBlockingCalls) {
    const Communicator world(MPI_COMM_WORLD);
    SyncBatchNorm<float> blocking(30, world), halves(30, world);
    Data a, b;
    for (int step = 0; step < 3; ++step) {
        blocking.forward(a.x, a.z, a.shape, a.saved);
        blocking.backward(a.x, a.dz, a.dx, a.shape, a.saved);
        halves.begin_forward(b.x.data(), b.z.data(), b.shape, b.saved);
        while (!halves.poll()) {
        }
        halves.end_forward();
        halves.begin_backward(b.x.data(), b.dz.data(), b.dx.data(), b.shape, b.saved);
        halves.end_backward();
        EXPECT_EQ(a.z, b.z);
        EXPECT_EQ(a.dx, b.dx);
        EXPECT_TRUE(std::ranges::equal(blocking.gradients(), halves.gradients()));
        EXPECT_TRUE(std::ranges::equal(blocking.running_var(), halves.running_var()));
    }
}

TEST(Nonblocking, PassesOfSeveralLayersMayEndInAnyOrderAndUnlikeOnEachRank) {
    const Communicator world(MPI_COMM_WORLD);
    std::vector<SyncBatchNorm<float>> layers;
    std::vector<Data> data(3), expected(3);
    for (int i = 0; i < 3; ++i)
        layers.emplace_back(30, world, BatchNormOptions{.name = "bn" + std::to_string(i)});
    for (std::size_t i = 0; i < 3; ++i) {
        SyncBatchNorm<float> blocking(30, world);
        blocking.forward(expected[i].x, expected[i].z, expected[i].shape, expected[i].saved);
    }
    for (std::size_t i = 0; i < 3; ++i)
        layers[i].begin_forward(data[i].x.data(), data[i].z.data(), data[i].shape, data[i].saved);
    for (std::size_t i = 0; i < 3; ++i)
        layers[(i * 2 + static_cast<std::size_t>(world_rank())) % 3].end_forward();
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(data[i].z, expected[i].z) << "layer " << i;
}

TEST(Nonblocking, OnePassAtATimeAndEndsMatchBegins) {
    const Communicator world(MPI_COMM_WORLD);
    SyncBatchNorm<float> layer(30, world, {.name = "bn9"});
    Data d;
    EXPECT_TRUE(layer.poll());
    EXPECT_TRUE(contains(error_of<UsageError>([&] { layer.end_forward(); }), "bn9"));
    EXPECT_THROW(layer.end_backward(), UsageError);
    layer.begin_forward(d.x.data(), d.z.data(), d.shape, d.saved);
    EXPECT_TRUE(
        contains(error_of<UsageError>([&] { layer.forward(d.x, d.z, d.shape, d.saved); }), "under way"));
    EXPECT_THROW(layer.end_backward(), UsageError);
    EXPECT_THROW(layer.set_frozen(true), UsageError);
    EXPECT_THROW(layer.change_communicator(world), UsageError);
    layer.end_forward();
    layer.backward(d.x, d.dz, d.dx, d.shape, d.saved);
}

}  // namespace
}  // namespace lockstep
