// Ranks that disagree about which layer is called: an error on every rank that names both sides, in under a
// second; a rank that never comes: an error after the time-out. (What layers are made of:
// agreement_test.cpp.)
#include <lockstep/base/error.hpp>
#include <lockstep/comm/agreement.hpp>
#include <lockstep/norm/sync_batch_norm.hpp>

#include "support/mpi_values.hpp"

#include <gtest/gtest.h>

#include <functional>

namespace lockstep {
namespace {

using testing::contains;
using testing::error_of;
using testing::promptly;
using testing::Watch;
using testing::world_rank;
using testing::world_size;

template <class Scalar>
struct Layer {
    SyncBatchNorm<Scalar> layer;
    std::vector<Scalar> x, z, dx;
    BatchShape shape{2};
    BatchMoments saved;

    Layer(const Communicator& communicator, const std::string& name, Index channels = 6)
        : layer(channels, communicator, {.name = name}),
          x(static_cast<std::size_t>(2 * channels), Scalar(1)),
          z(x.size()),
          dx(x.size()) {
        x[0] = Scalar(2);
    }
    void forward() { layer.forward(x, z, shape, saved); }
    void backward() { layer.backward(x, z, dx, shape, saved); }
};

/// Rank 0 does one thing, the others another; every rank must get an error that contains both texts.
void expect_mismatch(const std::function<void(const Communicator&, bool odd)>& program,
                     const std::string& one, const std::string& other) {
    if (world_size() == 1) return;
    const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 30});
    MPI_Barrier(MPI_COMM_WORLD);
    const Watch watch;
    const std::string text = error_of<CommunicationError>([&] { program(world, world.rank() == 0); });
    EXPECT_LT(watch.seconds(), promptly());
    EXPECT_TRUE(contains(text, one)) << text;
    EXPECT_TRUE(contains(text, other)) << text;
    MPI_Barrier(MPI_COMM_WORLD);
}

TEST(Mismatch, LayerOrder) {
    expect_mismatch(
        [](const Communicator& world, bool odd) {
            Layer<float> first(world, "conv1.bn"), second(world, "conv2.bn");
            (odd ? second : first).forward();
            (odd ? first : second).forward();
        },
        "conv1.bn", "conv2.bn");
}

TEST(Mismatch, LayerOrderOfLayersWithoutNames) {
    if (world_size() == 1) return;
    const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 30});
    Layer<float> first(world, ""), second(world, "");
    EXPECT_NE(first.layer.name(), second.layer.name());
    const std::string text =
        error_of<CommunicationError>([&] { (world.rank() == 0 ? second : first).forward(); });
    EXPECT_TRUE(contains(text, "'" + first.layer.name() + "'")) << text;
    EXPECT_TRUE(contains(text, "'" + second.layer.name() + "'")) << text;
    MPI_Barrier(MPI_COMM_WORLD);
}

TEST(Mismatch, NamesThatDifferAtTheirEndAlone) {
    const std::string common(43, 'n');
    expect_mismatch(
        [&](const Communicator& world, bool odd) {
            Layer<float> first(world, common + "1"), second(world, common + "2");
            (odd ? second : first).forward();
            (odd ? first : second).forward();
        },
        "n1'", "n2'");
}

TEST(Mismatch, ALayerAgainstAnotherCollective) {
    for (const char* what : {"gathering", "splitting", "agreement", "batch norm"})
        expect_mismatch(
            [&](const Communicator& world, bool odd) {
                Layer<float> layer(world, "bn");
                if (!odd) return layer.forward();
                if (contains(what, "gathering")) world.all_gather("x", "test");
                if (contains(what, "splitting")) world.split(0, 0);
                if (contains(what, "agreement")) check_agreement(world, "test", {});
                if (contains(what, "batch norm")) Layer<float>(world, "another");
            },
            "layer 'bn' forward", what);
}

TEST(Mismatch, ForwardAgainstBackward) {
    expect_mismatch(
        [](const Communicator& world, bool odd) {
            Layer<float> layer(world, "bn");
            layer.forward();
            if (odd)
                layer.backward();
            else
                layer.forward();
        },
        "forward", "backward");
}

TEST(Mismatch, AnExtraBatchOnOneRank) {
    // Uneven loops: one rank begins its second epoch while the others are at another layer of the first.
    expect_mismatch(
        [](const Communicator& world, bool odd) {
            Layer<float> first(world, "bn1"), second(world, "bn2");
            first.forward();
            if (!odd) second.forward();
            first.forward();
        },
        "bn1", "bn2");
}

TEST(Mismatch, TheLayerStaysUnusableAndSaysWhy) {
    if (world_size() == 1) return;
    const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 30});
    Layer<float> first(world, "bn1"), second(world, "bn2");
    EXPECT_THROW((world.rank() == 0 ? second : first).forward(), CommunicationError);
    const std::string text = error_of<CommunicationError>([&] { second.forward(); });
    EXPECT_TRUE(contains(text, "failed before")) << text;
    EXPECT_TRUE(contains(text, "bn1")) << text;
    MPI_Barrier(MPI_COMM_WORLD);
    const Communicator fresh(MPI_COMM_WORLD);
    first.layer.change_communicator(fresh);
    first.forward();
    EXPECT_EQ(first.saved.count(), 2.0 * world.size());
}

TEST(Mismatch, AMissingRankIsAnErrorAfterTheTimeoutThatNamesLayerCallAndRank) {
    if (world_size() == 1) return;
    const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 0.5});
    Layer<float> layer(world, "conv1.bn");
    layer.forward();
    if (world.rank() != 1) {
        const Watch watch;
        const std::string text = error_of<CommunicationError>([&] { layer.forward(); });
        for (const std::string part : {"time-out", "conv1.bn", "forward", "call 2", "rank 1"})
            EXPECT_TRUE(contains(text, part)) << text;
        EXPECT_LT(watch.seconds(), 5.0);
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

TEST(Mismatch, ARankThatAnnouncesItsFailureIsNotWaitedFor) {
    if (world_size() == 1) return;
    const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 30});
    Layer<float> layer(world, "bn");
    const Watch watch;
    if (world.rank() == 1) {
        world.announce_failure("cannot read the data of shard 7");
    } else {
        const std::string text = error_of<CommunicationError>([&] { layer.forward(); });
        EXPECT_TRUE(contains(text, "shard 7")) << text;
        EXPECT_TRUE(contains(text, "rank 1")) << text;
    }
    EXPECT_LT(watch.seconds(), promptly());
    MPI_Barrier(MPI_COMM_WORLD);
}

}  // namespace
}  // namespace lockstep
