// The layer's options, its state, its views of the caller's memory, and what it refuses.
#include <lockstep/base/error.hpp>
#include <lockstep/norm/sync_batch_norm.hpp>

#include "support/global_batch.hpp"
#include "support/mpi_values.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace lockstep {
namespace {

using testing::contains;
using testing::error_of;
using testing::GlobalBatch;
using testing::set_parameters;
using testing::world_rank;
using testing::world_size;

/// One replica on each rank, rank + 2 samples.
GlobalBatch<float> batch_of_ranks(Index channels = 5, Index spatial = 3) {
    std::vector<Index> sizes;
    for (int rank = 0; rank < world_size(); ++rank) sizes.push_back(rank + 2);
    return {channels, sizes, spatial};
}

struct Arrays {
    std::vector<float> x, dz, z, dx;
    BatchShape shape;

    explicit Arrays(const GlobalBatch<float>& batch)
        : x(batch.part(batch.x, world_rank())),
          dz(batch.part(batch.dz, world_rank())),
          z(x.size()),
          dx(x.size()),
          shape(batch.shape(world_rank())) {}
};

TEST(BatchNormOptions, FrozenNormalizesWithTheRunningAveragesAndLeavesThemAlone) {
    const auto batch = batch_of_ranks();
    Arrays a(batch);
    const Communicator world(MPI_COMM_WORLD);
    SyncBatchNorm<float> layer(5, world, {.frozen = true});
    set_parameters(layer, batch);
    for (std::size_t c = 0; c < 5; ++c) {
        layer.running_mean()[c] = 0.25F * static_cast<float>(c);
        layer.running_var()[c] = 1.5F + static_cast<float>(c);
    }
    const std::vector<float> mean(layer.running_mean().begin(), layer.running_mean().end());
    const std::vector<float> variance(layer.running_var().begin(), layer.running_var().end());

    BatchMoments saved;
    layer.forward(a.x, a.z, a.shape, saved);
    std::vector<float> inferred(a.x.size());
    layer.infer(a.x, inferred, a.shape);
    EXPECT_EQ(a.z, inferred) << "frozen, training gives what evaluation gives";
    layer.backward(a.x, a.dz, a.dx, a.shape, saved);

    std::vector<double> gamma_gradient(5), beta_gradient(5);
    for (std::size_t i = 0; i < a.x.size(); ++i) {
        const std::size_t c = i % 5;
        const double inverse = 1 / std::sqrt(static_cast<double>(variance[c]) + 1e-5);
        EXPECT_NEAR(a.dx[i], batch.gamma[c] * inverse * a.dz[i], 1e-5) << "the averages are constants";
        gamma_gradient[c] += a.dz[i] * (a.x[i] - mean[c]) * inverse;
        beta_gradient[c] += a.dz[i];
    }
    for (std::size_t c = 0; c < 5; ++c) {
        EXPECT_NEAR(layer.gradients()[c], gamma_gradient[c], 1e-4);
        EXPECT_NEAR(layer.gradients()[5 + c], beta_gradient[c], 1e-4);
    }
    EXPECT_TRUE(std::ranges::equal(layer.running_mean(), mean));
    EXPECT_TRUE(std::ranges::equal(layer.running_var(), variance));
    EXPECT_EQ(layer.averages().batches(), 0);
}

TEST(BatchNormOptions, ThawedItTrainsAgainAndABackwardFollowsItsForward) {
    const auto batch = batch_of_ranks();
    Arrays a(batch);
    const Communicator world(MPI_COMM_WORLD);
    SyncBatchNorm<float> layer(5, world), plain(5, world);
    BatchMoments saved, plain_saved;
    std::vector<float> dx(a.x.size());
    layer.forward(a.x, a.z, a.shape, saved);
    plain.forward(a.x, a.z, a.shape, plain_saved);
    layer.set_frozen(true);
    layer.backward(a.x, a.dz, a.dx, a.shape, saved);  // of the forward before the freeze
    plain.backward(a.x, a.dz, dx, a.shape, plain_saved);
    EXPECT_EQ(a.dx, dx);
    layer.set_frozen(false);
    layer.forward(a.x, a.z, a.shape, saved);
    EXPECT_EQ(layer.averages().batches(), 2);
}

TEST(BatchNormOptions, EpsilonAndMomentumCanBeChangedLater) {
    const auto batch = batch_of_ranks();
    Arrays a(batch), b(batch);
    const Communicator world(MPI_COMM_WORLD);
    const BatchNormOptions others{.epsilon = 0.5, .momentum = std::nullopt};
    SyncBatchNorm<float> changed(5, world), made(5, world, others);
    changed.set_epsilon(0.5);
    changed.set_momentum(std::nullopt);
    BatchMoments saved;
    for (int step = 0; step < 2; ++step) {
        changed.forward(a.x, a.z, a.shape, saved);
        made.forward(b.x, b.z, b.shape, saved);
        EXPECT_EQ(a.z, b.z);
        EXPECT_TRUE(std::ranges::equal(changed.running_var(), made.running_var()));
    }
    EXPECT_THROW(changed.set_epsilon(0), UsageError);
    EXPECT_THROW(changed.set_momentum(2), UsageError);
    changed.begin_forward(a.x, a.z, a.shape, saved);
    EXPECT_THROW(changed.set_epsilon(1), UsageError) << "a pass is under way";
    EXPECT_THROW(changed.set_executor(nullptr), UsageError);
    changed.end_forward();
    EXPECT_EQ(changed.options().epsilon, 0.5) << "an error changes nothing";
}

TEST(BatchNormOptions, WithoutAffineGammaAndBetaAreOneAndZeroAndLearnNothing) {
    const auto batch = batch_of_ranks();
    Arrays a(batch);
    const Communicator world(MPI_COMM_WORLD);
    SyncBatchNorm<float> plain(5, world, {.affine = false}), affine(5, world);
    BatchMoments saved;
    plain.forward(a.x, a.z, a.shape, saved);
    plain.backward(a.x, a.dz, a.dx, a.shape, saved);
    std::vector<float> z(a.z.size()), dx(a.z.size());
    affine.forward(a.x, z, a.shape, saved);
    affine.backward(a.x, a.dz, dx, a.shape, saved);
    EXPECT_EQ(a.z, z);
    EXPECT_EQ(a.dx, dx);
    EXPECT_TRUE(std::ranges::equal(plain.gradients(), std::vector<float>(10, 0.0F)));
    ASSERT_EQ(plain.state().size(), 2u);
    EXPECT_EQ(plain.state()[0].name, "running_mean");
}

TEST(BatchNormOptions, UntrackedKeepsNoAveragesAndSaysSoInInfer) {
    const auto batch = batch_of_ranks();
    Arrays a(batch);
    const Communicator world(MPI_COMM_WORLD);
    SyncBatchNorm<float> layer(5, world, {.track_running_averages = false, .name = "stem"});
    BatchMoments saved;
    layer.forward(a.x, a.z, a.shape, saved);
    for (const float mean : layer.running_mean()) EXPECT_EQ(mean, 0);
    const std::string text = error_of<UsageError>([&] { layer.infer(a.x, a.z, a.shape); });
    EXPECT_TRUE(contains(text, "stem")) << text;
    EXPECT_THROW(layer.set_frozen(true), UsageError);
    EXPECT_THROW(layer.averages().pool(world), UsageError);
    EXPECT_THROW(SyncBatchNorm<float>(5, world, {.track_running_averages = false, .frozen = true}),
                 UsageError);
    ASSERT_EQ(layer.state().size(), 2u);
    EXPECT_EQ(layer.state()[0].name, "weight");
}

TEST(BatchNormOptions, StateSavesAndLoadsAllThereIs) {
    const auto batch = batch_of_ranks();
    Arrays a(batch);
    const Communicator world(MPI_COMM_WORLD);
    SyncBatchNorm<float> first(5, world), second(5, world);
    set_parameters(first, batch);
    BatchMoments saved;
    for (int step = 0; step < 3; ++step) first.forward(a.x, a.z, a.shape, saved);
    const auto from = first.state(), to = second.state();
    ASSERT_EQ(from.size(), 4u);
    for (std::size_t i = 0; i < from.size(); ++i) {
        EXPECT_EQ(from[i].name, to[i].name);
        std::ranges::copy(from[i].values, to[i].values.begin());
    }
    second.averages().set_batches(first.averages().batches());
    // From here on the two cannot be told apart, in evaluation or in training.
    std::vector<float> z(a.z.size());
    first.infer(a.x, a.z, a.shape);
    second.infer(a.x, z, a.shape);
    EXPECT_EQ(a.z, z);
    first.forward(a.x, a.z, a.shape, saved);
    second.forward(a.x, z, a.shape, saved);
    EXPECT_EQ(a.z, z);
    EXPECT_TRUE(std::ranges::equal(first.running_var(), second.running_var()));
}

TEST(BatchNormOptions, BoundParametersLieInTheCallersMemory) {
    const auto batch = batch_of_ranks();
    Arrays a(batch);
    const Communicator world(MPI_COMM_WORLD);
    SyncBatchNorm<float> layer(5, world);
    set_parameters(layer, batch);
    std::vector<float> flat(20, -1.0F);
    layer.bind({flat.data(), flat.data() + 5, flat.data() + 10, flat.data() + 15});
    EXPECT_TRUE(std::equal(batch.gamma.begin(), batch.gamma.end(), flat.begin()));
    SyncBatchNorm<float> moved = std::move(layer);
    BatchMoments saved;
    moved.forward(a.x, a.z, a.shape, saved);
    EXPECT_NE(flat[10], 0.0F) << "the running mean is updated where it is bound";
    EXPECT_EQ(moved.running_mean().data(), flat.data() + 10);
}

TEST(BatchNormOptions, InPlaceGivesTheSameBits) {
    for (const ChannelOrder order : {ChannelOrder::last, ChannelOrder::first}) {
        GlobalBatch<float> batch = batch_of_ranks();
        batch.order = order;
        Arrays a(batch), b(batch);
        const Communicator world(MPI_COMM_WORLD);
        SyncBatchNorm<float> layer(5, world);
        BatchMoments saved;
        layer.forward(a.x, a.z, a.shape, saved);
        layer.backward(a.x, a.dz, a.dx, a.shape, saved);
        std::vector<float> dz = b.dz;
        layer.backward(b.x, dz, dz, b.shape, saved);
        EXPECT_EQ(dz, a.dx);
        layer.forward(b.x, b.x, b.shape, saved);
        EXPECT_EQ(b.x, a.z);
    }
}

TEST(BatchNormOptions, WrongSizesAreRefusedBeforeAnyExchange) {
    const auto batch = batch_of_ranks();
    Arrays a(batch);
    const Communicator world(MPI_COMM_WORLD);
    SyncBatchNorm<float> layer(5, world, {.name = "bn3"});
    BatchMoments saved;
    std::vector<float> small(a.x.size() - 1);
    for (const auto& text : {error_of<UsageError>([&] { layer.forward(small, a.z, a.shape, saved); }),
                             error_of<UsageError>([&] { layer.forward(a.x, small, a.shape, saved); }),
                             error_of<UsageError>([&] { layer.infer(a.x, small, a.shape); })}) {
        EXPECT_TRUE(contains(text, "bn3")) << text;
        EXPECT_TRUE(contains(text, std::to_string(a.x.size()))) << text;
        EXPECT_TRUE(contains(text, std::to_string(small.size()))) << text;
    }
    layer.forward(a.x, a.z, a.shape, saved);
    EXPECT_THROW(layer.backward(a.x, small, a.dx, a.shape, saved), UsageError);
    EXPECT_THROW(layer.backward(a.x, a.dz, small, a.shape, saved), UsageError);
    EXPECT_THROW(layer.backward(a.x.data(), a.dz.data(), nullptr, a.shape, saved), UsageError);
    layer.backward(a.x, a.dz, a.dx, a.shape, saved);  // none of these has left anything under way
}

TEST(BatchNormOptions, ShapesThatNoMemoryHoldsAreRefused) {
    SyncBatchNorm<float> layer(3, Communicator::self());
    std::vector<float> some(6);
    BatchMoments saved;
    constexpr Index most = std::numeric_limits<Index>::max();
    const std::vector<BatchShape> absurd{{Index{1} << 62, 4},
                                         {Index{1} << 32, Index{1} << 32},
                                         {most, 1},
                                         {1, most},
                                         {most / 4, 1},
                                         {-1, 2},
                                         {2, -1},
                                         {-1, -6},
                                         {0, -1},
                                         {Index{1} << 33, Index{1} << 31, ChannelOrder::first}};
    for (const BatchShape& shape : absurd) {
        EXPECT_THROW(layer.forward(some.data(), some.data(), shape, saved), UsageError) << shape.batch;
        EXPECT_THROW(layer.forward(some, some, shape, saved), UsageError) << shape.batch;
        EXPECT_THROW(layer.infer(some.data(), some.data(), shape), UsageError) << shape.batch;
        EXPECT_THROW(layer.infer(some, some, shape), UsageError) << shape.batch;
        layer.forward(some.data(), some.data(), {2}, saved);
        EXPECT_THROW(layer.backward(some.data(), some.data(), some.data(), shape, saved), UsageError);
        EXPECT_THROW(layer.backward_parameters(some.data(), some.data(), shape, saved), UsageError);
    }
    // However many: what does not fit one message is no layer.
    EXPECT_THROW(SyncBatchNorm<float>(Index{1} << 60, Communicator::self()), UsageError);
    EXPECT_THROW(SyncBatchNorm<float>(most, Communicator::self()), UsageError);
}

TEST(BatchNormOptions, BackwardOfAnotherShapeThanItsForwardIsRefusedAndSaysBoth) {
    SyncBatchNorm<double> layer(2, Communicator::self(), {.name = "bn1"}), other(2, Communicator::self());
    std::vector<double> x{1, 2, 3, 4, 5, 6, 7, 8}, z(8), dx(8);
    BatchMoments saved, never;
    const BatchShape shape{.batch = 2, .spatial = 2, .order = ChannelOrder::last};
    for (const BatchShape& wrong :
         {BatchShape{1, 2}, BatchShape{4, 1}, BatchShape{2, 2, ChannelOrder::first}}) {
        layer.forward(x.data(), z.data(), shape, saved);
        for (const bool all : {true, false}) {
            const std::string text = error_of<UsageError>([&] {
                if (all)
                    layer.backward(x.data(), z.data(), dx.data(), wrong, saved);
                else
                    layer.backward_parameters(x.data(), z.data(), wrong, saved);
            });
            for (const std::string& part :
                 {std::string("bn1"), std::string("batch 2, spatial 2, channels last"),
                  "batch " + std::to_string(wrong.batch) + ", spatial " + std::to_string(wrong.spatial)})
                EXPECT_TRUE(contains(text, part)) << text;
        }
        EXPECT_NO_THROW(layer.backward(x.data(), z.data(), dx.data(), shape, saved))
            << "nothing is under way";
    }
    EXPECT_THROW(layer.backward(x.data(), z.data(), dx.data(), shape, never), UsageError);
    EXPECT_THROW(other.backward(x.data(), z.data(), dx.data(), shape, saved), UsageError)
        << "moments are of the layer that made them";
    layer.change_communicator(Communicator::self());
    EXPECT_THROW(layer.backward(x.data(), z.data(), dx.data(), shape, saved), UsageError)
        << "or of another communicator";
}

TEST(BatchNormOptions, AnEmptyRankMayPassNullPointers) {
    const Communicator world(MPI_COMM_WORLD);
    SyncBatchNorm<float> layer(2, world);
    BatchMoments saved;
    const bool empty = world.rank() % 2 == 1;
    std::vector<float> x(empty ? 0 : 6, 2.0F), z(x.size()), dx(x.size());
    if (!empty) x[0] = 5.0F;
    const BatchShape shape{empty ? 0 : 3};
    layer.forward(empty ? nullptr : x.data(), empty ? nullptr : z.data(), shape, saved);
    layer.backward(empty ? nullptr : x.data(), empty ? nullptr : z.data(), empty ? nullptr : dx.data(), shape,
                   saved);
    EXPECT_EQ(saved.count(), 3.0 * ((world.size() + 1) / 2));
}

TEST(BatchNormOptions, NotANumberReachesTheOutputsOfItsChannelAlone) {
    const Communicator world(MPI_COMM_WORLD);
    SyncBatchNorm<float> layer(2, world);
    std::vector<float> x{1, 2, 3, 4}, z(4);
    if (world.rank() == world.size() - 1) x[1] = std::numeric_limits<float>::quiet_NaN();
    BatchMoments saved;
    layer.forward(x, z, {2}, saved);
    EXPECT_TRUE(std::isfinite(z[0]) && std::isfinite(z[2]));
    EXPECT_TRUE(std::isnan(z[1]) && std::isnan(z[3])) << "on every rank: nobody diverges in silence";
    EXPECT_TRUE(std::isnan(layer.running_var()[1]));
}

}  // namespace
}  // namespace lockstep
