// The test scenarios of other libraries' synchronized batch norms, at their tolerances or tighter.
#include <lockstep/norm/sync_batch_norm.hpp>

#include "support/global_batch.hpp"
#include "support/mpi_values.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace lockstep {
namespace {

using testing::GlobalBatch;
using testing::Reference;
using testing::reference_batch_norm;
using testing::relative_distance;
using testing::same_on_all_ranks;
using testing::set_parameters;
using testing::Wide;
using testing::world_rank;
using testing::world_size;

/// One step of the rank's own part of a batch, and what belongs to it in the reference.
template <class Scalar>
struct Rank {
    std::vector<Scalar> x, dz, z, dx;
    BatchShape shape;
    BatchMoments saved;

    explicit Rank(const GlobalBatch<Scalar>& batch, int part = world_rank())
        : x(batch.part(batch.x, part)),
          dz(batch.part(batch.dz, part)),
          z(x.size()),
          dx(x.size()),
          shape(batch.shape(part)) {}

    void step(SyncBatchNorm<Scalar>& layer) {
        layer.forward(x, z, shape, saved);
        layer.backward(x, dz, dx, shape, saved);
    }
};

template <class Scalar>
std::vector<Wide> part_of(const GlobalBatch<Scalar>& batch, const std::vector<Wide>& all,
                          int part = world_rank()) {
    const auto first = all.begin() + static_cast<std::ptrdiff_t>(batch.begin(part));
    return {first, first + static_cast<std::ptrdiff_t>(batch.length(part))};
}

template <class Scalar>
std::vector<double> summed_over(MPI_Comm comm, std::span<const Scalar> values) {
    const std::vector<double> mine(values.begin(), values.end());
    std::vector<double> sum(mine.size());
    MPI_Allreduce(mine.data(), sum.data(), static_cast<int>(mine.size()), MPI_DOUBLE, MPI_SUM, comm);
    return sum;
}

std::vector<Wide> both_gradients(const Reference& reference) {
    std::vector<Wide> both = reference.gamma_gradient;
    both.insert(both.end(), reference.beta_gradient.begin(), reference.beta_gradient.end());
    return both;
}

/// `total` samples, spread as evenly as ranks allow.
std::vector<Index> spread(Index total, int ranks = world_size()) {
    std::vector<Index> sizes;
    for (int rank = 0; rank < ranks; ++rank)
        sizes.push_back(total * (rank + 1) / ranks - total * rank / ranks);
    return sizes;
}

// --- PyTorch ---

TEST(PyTorch, RankRHasRPlusTwoSamplesAndGradientsEqualTheConcatenatedBatch) {
    std::vector<Index> sizes(static_cast<std::size_t>(world_size()));
    std::iota(sizes.begin(), sizes.end(), Index{2});
    const GlobalBatch<double> batch(4, sizes, 6, ChannelOrder::first);
    const Communicator world(MPI_COMM_WORLD);
    SyncBatchNorm<double> layer(4, world);
    set_parameters(layer, batch);
    Rank<double> rank(batch);
    rank.step(layer);
    const Reference expected = batch.reference();
    EXPECT_LE(relative_distance(rank.z, part_of(batch, expected.z)), 1e-10);
    EXPECT_LE(relative_distance(rank.dx, part_of(batch, expected.dx)), 1e-10);
    EXPECT_LE(
        relative_distance(summed_over<double>(MPI_COMM_WORLD, layer.gradients()), both_gradients(expected)),
        1e-10);
}

TEST(PyTorch, RunningValuesOfUnlikeShardsEqualThePooledOnes) {
    // Rank r has (2, 2, 10^(r+1)) values, the first sample filled with 0.1^(r−1), the second with 0.3^(r−1).
    Wide count = 0, mean = 0, m2 = 0;
    const auto value = [](int rank, int sample) {
        return static_cast<double>(static_cast<float>(std::pow(sample == 0 ? 0.1 : 0.3, rank - 1)));
    };
    for (int rank = 0; rank < world_size(); ++rank)
        for (int sample = 0; sample < 2; ++sample) {
            count += std::pow(Wide(10), rank + 1);
            mean += std::pow(Wide(10), rank + 1) * value(rank, sample);
        }
    mean /= count;
    for (int rank = 0; rank < world_size(); ++rank)
        for (int sample = 0; sample < 2; ++sample)
            m2 += std::pow(Wide(10), rank + 1) * (value(rank, sample) - mean) * (value(rank, sample) - mean);

    const auto length = static_cast<Index>(std::pow(10.0, world_rank() + 1));
    std::vector<float> x(static_cast<std::size_t>(4 * length)), z(x.size());
    for (std::size_t i = 0; i < x.size(); ++i)
        x[i] = static_cast<float>(value(world_rank(), i < x.size() / 2 ? 0 : 1));
    const Communicator world(MPI_COMM_WORLD);
    SyncBatchNorm<float> layer(2, world, {.momentum = 0.99});
    BatchMoments saved;
    for (int iteration = 0; iteration < 100; ++iteration)
        layer.forward(x, z, {2, length, ChannelOrder::first}, saved);
    EXPECT_EQ(saved.count(), static_cast<double>(count));
    for (std::size_t c = 0; c < 2; ++c) {
        EXPECT_NEAR(layer.running_mean()[c], static_cast<double>(mean), 1e-6 * static_cast<double>(mean));
        const auto variance = static_cast<double>(m2 / (count - 1));
        EXPECT_NEAR(layer.running_var()[c], variance, 1e-6 * variance);
    }
}

TEST(PyTorch, OneSampleOnEachRank) {
    const GlobalBatch<double> batch(3, std::vector<Index>(static_cast<std::size_t>(world_size()), 1));
    const Communicator world(MPI_COMM_WORLD);
    SyncBatchNorm<double> layer(3, world);
    set_parameters(layer, batch);
    Rank<double> rank(batch);
    rank.step(layer);
    const Reference expected = batch.reference();
    EXPECT_LE(relative_distance(rank.z, part_of(batch, expected.z), 1.0), 1e-10);
    // dx of two values nearly cancels: measured against γ/√ε·dz.
    EXPECT_LE(relative_distance(rank.dx, part_of(batch, expected.dx), 316.0), 1e-10);
    for (std::size_t c = 0; c < 3; ++c) {
        const double running =
            world_size() == 1 ? 1.0 : 0.9 + 0.1 * static_cast<double>(expected.unbiased_variance(c));
        EXPECT_NEAR(layer.running_var()[c], running, 1e-10);
    }
}

TEST(PyTorch, OneRankEmptyOrAllOfThem) {
    const Communicator world(MPI_COMM_WORLD);
    for (int empty = -1; empty < world_size(); ++empty) {  // −1: all
        std::vector<Index> sizes(static_cast<std::size_t>(world_size()), empty < 0 ? 0 : 1);
        if (empty >= 0) sizes[static_cast<std::size_t>(empty)] = 0;
        const GlobalBatch<float> batch(2, sizes, 11 * 13, ChannelOrder::first);
        SyncBatchNorm<float> layer(2, world);
        set_parameters(layer, batch);
        Rank<float> rank(batch);
        rank.step(layer);
        if (batch.whole().batch == 0) {
            EXPECT_TRUE(std::ranges::equal(layer.running_mean(), std::vector<float>{0, 0}));
            EXPECT_TRUE(std::ranges::equal(layer.running_var(), std::vector<float>{1, 1}));
            EXPECT_EQ(layer.averages().batches(), 0);
            EXPECT_TRUE(std::ranges::equal(layer.gradients(), std::vector<float>(4, 0.0F)));
            continue;
        }
        const Reference expected = batch.reference();
        EXPECT_LE(relative_distance(rank.z, part_of(batch, expected.z), 1.0), 1e-5);
        EXPECT_LE(relative_distance(rank.dx, part_of(batch, expected.dx), 1.0), 1e-5);
        EXPECT_LE(relative_distance(summed_over<float>(MPI_COMM_WORLD, layer.gradients()),
                                    both_gradients(expected), 1.0),
                  1e-5);
        for (std::size_t c = 0; c < 2; ++c)
            EXPECT_NEAR(layer.running_var()[c],
                        0.9 + 0.1 * static_cast<double>(expected.unbiased_variance(c)), 1e-6);
        EXPECT_TRUE(same_on_all_ranks(layer.running_var()));
    }
}

// --- apex ---

template <class Scalar>
void expect_apex(double tolerance) {
    const GlobalBatch<Scalar> batch(10, spread(32), 40 * 40, ChannelOrder::first, 0.3, 1.7);
    const Communicator world(MPI_COMM_WORLD);
    SyncBatchNorm<Scalar> layer(10, world);
    set_parameters(layer, batch);
    Rank<Scalar> rank(batch);
    rank.step(layer);
    const Reference expected = batch.reference();
    EXPECT_LE(relative_distance(rank.saved.mean(), expected.mean), tolerance);
    EXPECT_LE(relative_distance(rank.saved.variance(), expected.variance), tolerance);
    EXPECT_LE(relative_distance(rank.z, part_of(batch, expected.z)), tolerance);
    EXPECT_LE(relative_distance(rank.dx, part_of(batch, expected.dx)), tolerance);
    // Σdz and Σdz·x̂ are dβ and dγ.
    const auto gradients = summed_over<Scalar>(MPI_COMM_WORLD, layer.gradients());
    EXPECT_LE(relative_distance(gradients, both_gradients(expected)), tolerance);
    std::vector<Wide> mean, variance;
    for (std::size_t c = 0; c < 10; ++c) {
        mean.push_back(Wide(0.1) * expected.mean[c]);
        variance.push_back(Wide(0.9) + Wide(0.1) * expected.unbiased_variance(c));
        // One step of gradient descent.
        layer.gamma()[c] -= static_cast<Scalar>(1e-4 * gradients[c]);
        const auto gamma = static_cast<double>(batch.gamma[c] - Wide(1e-4) * expected.gamma_gradient[c]);
        EXPECT_NEAR(layer.gamma()[c], gamma, tolerance * std::abs(gamma));
    }
    EXPECT_LE(relative_distance(layer.running_mean(), mean), tolerance);
    EXPECT_LE(relative_distance(layer.running_var(), variance), tolerance);
}

TEST(Apex, ImagesAgainstAWideReference) {
    expect_apex<float>(1e-5);
    expect_apex<double>(1e-8);
}

TEST(Apex, UnlikeBatchesOfUnlikeScale) {
    // Rank 0 has 16 samples, 50 times as large; the others 8.
    std::vector<Index> sizes(static_cast<std::size_t>(world_size()), 8);
    sizes[0] = 16;
    GlobalBatch<float> batch(3, sizes, 25, ChannelOrder::first);
    for (std::size_t i = 0; i < batch.length(0); ++i) batch.x[i] *= 50;
    const Communicator world(MPI_COMM_WORLD);
    SyncBatchNorm<float> layer(3, world);
    set_parameters(layer, batch);
    Rank<float> rank(batch);
    rank.step(layer);
    const Reference expected = batch.reference();
    EXPECT_LE(relative_distance(rank.z, part_of(batch, expected.z), 1.0), 1e-5);
    EXPECT_LE(relative_distance(rank.dx, part_of(batch, expected.dx), 1e-2), 1e-5);
    for (std::size_t c = 0; c < 3; ++c) {
        const auto variance = static_cast<double>(expected.variance[c]);
        EXPECT_NEAR(rank.saved.variance()[c], variance, 1e-7 * variance);
    }
}

TEST(Apex, GroupsOfTwo) {
    if (world_size() % 2 != 0) return;
    const GlobalBatch<double> batch(3, std::vector<Index>(static_cast<std::size_t>(world_size()), 4), 9);
    const Communicator world(MPI_COMM_WORLD);
    SyncBatchNorm<double> grouped(3, world, {}, {.group = 2});
    SyncBatchNorm<double> split(3, world.split(world.rank() / 2, world.rank()));
    const int first = world_rank() / 2 * 2;
    GlobalBatch<double> pair(3, {4, 4}, 9);
    for (int part = 0; part < 2; ++part) {
        std::ranges::copy(batch.part(batch.x, first + part),
                          pair.x.begin() + static_cast<std::ptrdiff_t>(pair.begin(part)));
        std::ranges::copy(batch.part(batch.dz, first + part),
                          pair.dz.begin() + static_cast<std::ptrdiff_t>(pair.begin(part)));
    }
    const Reference expected = pair.reference();
    Rank<double> a(pair, world_rank() - first), b(pair, world_rank() - first);
    set_parameters(grouped, pair);
    set_parameters(split, pair);
    a.step(grouped);
    b.step(split);
    EXPECT_LE(relative_distance(a.z, part_of(pair, expected.z, world_rank() - first)), 1e-10);
    EXPECT_LE(relative_distance(a.dx, part_of(pair, expected.dx, world_rank() - first)), 1e-10);
    EXPECT_EQ(a.z, b.z) << "a group and a communicator of its own are the same";
    EXPECT_EQ(a.dx, b.dx);
}

// --- ChainerMN ---

TEST(ChainerMN, SyncOnManyIsSyncOnOneIsPlainAndLocalOnManyIsNot) {
    const GlobalBatch<float> batch(4, spread(20), 3);
    const Communicator world(MPI_COMM_WORLD);
    SyncBatchNorm<float> plain(4, Communicator::self()),
        sync_on_one(4, Communicator::self(), {}, {.replicas = 1}), local_on_many(4, Communicator::self()),
        sync_on_many(4, world);
    const GlobalBatch<float> whole(4, {20}, 3);
    Rank<float> a(whole, 0), b(whole, 0), c(batch), d(batch);
    a.step(plain);
    b.step(sync_on_one);
    c.step(local_on_many);
    d.step(sync_on_many);
    EXPECT_EQ(a.z, b.z);
    EXPECT_EQ(a.dx, b.dx);
    ASSERT_EQ(whole.x, batch.x);
    const auto all_z = std::vector<Wide>(a.z.begin(), a.z.end()),
               all_dx = std::vector<Wide>(a.dx.begin(), a.dx.end());
    EXPECT_LE(relative_distance(d.z, part_of(batch, all_z)), 1e-6);
    EXPECT_LE(relative_distance(d.dx, part_of(batch, all_dx)), 1e-6);
    if (world_size() == 1) return;
    EXPECT_GT(relative_distance(c.z, part_of(batch, all_z)), 1e-2);
    EXPECT_GT(relative_distance(c.dx, part_of(batch, all_dx)), 1e-2);
}

// --- LBANN ---

TEST(Lbann, TwentyNineSamplesInBatchesOfFourteen) {
    // 14, 14 and 1: in the last batch all ranks but one are empty, and the variance is undefined.
    const Communicator world(MPI_COMM_WORLD);
    SyncBatchNorm<double> layer(5, world);
    Wide mean = 0, variance = 1;
    for (const Index size : {14, 14, 1}) {
        const GlobalBatch<double> batch(5, spread(size), 1, ChannelOrder::last, 3.0, 2.0,
                                        static_cast<std::uint64_t>(size));
        set_parameters(layer, batch);
        Rank<double> rank(batch);
        rank.step(layer);
        const Reference expected = batch.reference();
        EXPECT_LE(relative_distance(rank.z, part_of(batch, expected.z), 1.0), 1e-10);
        EXPECT_LE(relative_distance(rank.dx, part_of(batch, expected.dx), size == 1 ? 1000.0 : 1.0), 1e-10);
        mean = Wide(0.9) * mean + Wide(0.1) * expected.mean[0];
        if (size > 1) variance = Wide(0.9) * variance + Wide(0.1) * expected.unbiased_variance(0);
    }
    EXPECT_NEAR(layer.running_mean()[0], static_cast<double>(mean), 1e-12);
    EXPECT_NEAR(layer.running_var()[0], static_cast<double>(variance), 1e-12);
    EXPECT_EQ(layer.averages().batches(), 3);
    EXPECT_TRUE(same_on_all_ranks(layer.running_var()));
}

// --- ours ---

TEST(Ours, FloatVarianceAndGradientsUpToAMeanOfAMillionDeviations) {
    const Communicator world(MPI_COMM_WORLD);
    for (const double ratio : {1e0, 1e2, 1e4, 1e5, 1e6})
        for (const double deviation : {1e-2, 1.0}) {
            const GlobalBatch<float> batch(3, spread(64), 25, ChannelOrder::last, ratio * deviation,
                                           deviation);
            SyncBatchNorm<float> layer(3, world);
            set_parameters(layer, batch);
            Rank<float> rank(batch);
            rank.step(layer);
            const Reference expected = batch.reference();
            for (std::size_t c = 0; c < 3; ++c) {
                const auto variance = static_cast<double>(expected.variance[c]);
                EXPECT_NEAR(rank.saved.variance()[c], variance, 1e-6 * variance)
                    << ratio << ", " << deviation;
            }
            EXPECT_LE(relative_distance(rank.dx, part_of(batch, expected.dx)), 1e-5)
                << ratio << ", " << deviation;
            EXPECT_LE(relative_distance(rank.z, part_of(batch, expected.z)), 1e-5)
                << ratio << ", " << deviation;
        }
}

}  // namespace
}  // namespace lockstep
