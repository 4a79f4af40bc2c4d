// R replicas on P ranks: the values of one process with the whole batch, and the bits of one rank with R
// replicas.
#include <lockstep/base/error.hpp>
#include <lockstep/norm/moments.hpp>
#include <lockstep/norm/sync_batch_norm.hpp>

#include "support/global_batch.hpp"
#include "support/mpi_values.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <optional>

namespace lockstep {
namespace {

using testing::GlobalBatch;
using testing::Reference;
using testing::relative_distance;
using testing::run_step;
using testing::same_on_all_ranks;
using testing::set_parameters;
using testing::StepResult;
using testing::Wide;
using testing::world_rank;
using testing::world_size;

template <class Scalar>
constexpr double tolerance = sizeof(Scalar) == 4 ? 1e-5 : 1e-10;

ReplicaRange hosted_here(int replicas) {
    return ReplicaMap(replicas, world_size()).block(world_rank());
}

template <class Scalar>
StepResult<Scalar> step_on(const Communicator& communicator, const GlobalBatch<Scalar>& batch,
                           std::optional<int> group, int steps = 1) {
    SyncBatchNorm<Scalar> layer(batch.channels, communicator, {.name = "bn"},
                                {.replicas = batch.replicas(), .group = group});
    set_parameters(layer, batch);
    const ReplicaMap map(batch.replicas(), communicator.size());
    for (int step = 1; step < steps; ++step) run_step(layer, batch, map.block(communicator.rank()));
    return run_step(layer, batch, map.block(communicator.rank()));
}

template <class Values>
void expect_equal(const Values& actual, const Values& expected, const char* what, int replica) {
    EXPECT_EQ(actual, expected) << what << " of replica " << replica << " at " << world_size() << " ranks";
}

/// Everything that this rank's replicas compute has the bits that it has where one rank hosts all of them.
template <class Scalar>
void expect_bits_of_one_rank(const GlobalBatch<Scalar>& batch, std::optional<int> group) {
    const auto many = step_on(Communicator(MPI_COMM_WORLD), batch, group, 2);
    const auto one = step_on(Communicator::self(), batch, group, 2);
    const ReplicaRange hosted = hosted_here(batch.replicas());
    for (int replica = hosted.begin; replica < hosted.end; ++replica) {
        expect_equal(batch.part(many.z, replica), batch.part(one.z, replica), "z", replica);
        expect_equal(batch.part(many.dx, replica), batch.part(one.dx, replica), "dx", replica);
        expect_equal(many.gradients[static_cast<std::size_t>(replica - hosted.begin)],
                     one.gradients[static_cast<std::size_t>(replica)], "gradients", replica);
    }
    // Running averages follow the first group of each rank: global only where the group is everybody.
    if (group.value_or(batch.replicas()) != batch.replicas()) return;
    EXPECT_EQ(many.running_mean, one.running_mean);
    EXPECT_EQ(many.running_var, one.running_var);
    EXPECT_TRUE(same_on_all_ranks(many.running_mean));
    EXPECT_TRUE(same_on_all_ranks(many.running_var));
}

TEST(SyncBatchNorm, HasTheBitsOfOneRankInEveryModeAtAnyNumberOfReplicas) {
    for (int replicas = std::max(4, world_size()); replicas <= 9; ++replicas) {
        std::vector<Index> sizes(static_cast<std::size_t>(replicas));
        std::iota(sizes.begin(), sizes.end(), Index{2});
        const GlobalBatch<float> single(17, sizes, 3);
        const GlobalBatch<double> wide(5, sizes, 4, ChannelOrder::first);
        for (int group = 1; group <= replicas; ++group) {
            if (replicas % group != 0) continue;
            expect_bits_of_one_rank(single, group);
            expect_bits_of_one_rank(wide, group);
        }
    }
}

TEST(SyncBatchNorm, HasTheBitsOfOneRankWithEmptyAndSingleSamples) {
    expect_bits_of_one_rank(GlobalBatch<float>(3, {0, 1, 0, 5, 1, 0, 2, 0}), std::nullopt);
    expect_bits_of_one_rank(GlobalBatch<float>(3, {0, 1, 0, 5, 1, 0, 2, 0}), 4);
    expect_bits_of_one_rank(GlobalBatch<double>(300, {1, 1, 1, 1, 1}), std::nullopt);
    expect_bits_of_one_rank(GlobalBatch<double>(1, {0, 0, 0, 0, 1}, 2), std::nullopt);
}

/// Each statistics group equals one process that normalizes the group's samples as one batch.
template <class Scalar>
void expect_reference(const GlobalBatch<Scalar>& batch) {
    const auto result = step_on(Communicator(MPI_COMM_WORLD), batch, std::nullopt);
    const Reference expected = batch.reference();
    const ReplicaRange hosted = hosted_here(batch.replicas());
    const auto begin = static_cast<std::ptrdiff_t>(batch.begin(hosted.begin));
    const auto end =
        begin + static_cast<std::ptrdiff_t>(std::accumulate(batch.sizes.begin() + hosted.begin,
                                                            batch.sizes.begin() + hosted.end, Index{0}) *
                                            batch.spatial * batch.channels);
    const auto part = [&](const auto& all) { return std::vector(all.begin() + begin, all.begin() + end); };

    double gradient_size = 0;
    for (std::size_t c = 0; c < batch.gamma.size(); ++c)
        gradient_size = std::max(
            gradient_size,
            std::abs(static_cast<double>(batch.gamma[c] / std::sqrt(expected.variance[c] + Wide(1e-5)))));
    EXPECT_EQ(result.saved.count(), static_cast<double>(expected.count));
    EXPECT_LE(relative_distance(part(result.z), part(expected.z), 1.0), tolerance<Scalar>);
    EXPECT_LE(relative_distance(part(result.dx), part(expected.dx), gradient_size), tolerance<Scalar>);
    for (std::size_t c = 0; c < batch.gamma.size(); ++c) {
        const double variance = static_cast<double>(expected.variance[c]);
        EXPECT_NEAR(result.saved.variance()[c], variance, 1e-6 * variance) << "channel " << c;
    }

    // dγ and dβ are each replica's own: together they are the batch's.
    std::vector<double> sums(2 * batch.gamma.size(), 0.0), total(sums.size());
    for (const auto& gradients : result.gradients)
        for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += static_cast<double>(gradients[i]);
    MPI_Allreduce(sums.data(), total.data(), static_cast<int>(sums.size()), MPI_DOUBLE, MPI_SUM,
                  MPI_COMM_WORLD);
    std::vector<Wide> both = expected.gamma_gradient;
    both.insert(both.end(), expected.beta_gradient.begin(), expected.beta_gradient.end());
    EXPECT_LE(relative_distance(total, both, static_cast<double>(expected.count)), tolerance<Scalar>);

    // running ← 0.9·running + 0.1·batch, from 0 and 1, with the unbiased variance.
    std::vector<Wide> mean, variance;
    for (std::size_t c = 0; c < batch.gamma.size(); ++c) {
        mean.push_back(Wide(0.1) * expected.mean[c]);
        variance.push_back(Wide(0.9) + Wide(0.1) * expected.unbiased_variance(c));
    }
    EXPECT_LE(relative_distance(result.running_mean, mean, 1.0), tolerance<Scalar>);
    EXPECT_LE(relative_distance(result.running_var, variance, 1.0), tolerance<Scalar>);
}

std::vector<Index> rank_plus_two() {
    std::vector<Index> sizes;
    for (int replica = 0; replica < std::max(2, world_size()); ++replica) sizes.push_back(replica + 2);
    return sizes;
}

TEST(SyncBatchNorm, EqualsOneProcessWithTheConcatenatedBatch) {
    for (const Index channels : {1, 3, 17, 300})
        for (const Index spatial : {1, 9})
            for (const ChannelOrder order : {ChannelOrder::last, ChannelOrder::first}) {
                expect_reference(GlobalBatch<float>(channels, rank_plus_two(), spatial, order));
                expect_reference(GlobalBatch<double>(channels, rank_plus_two(), spatial, order));
            }
}

TEST(SyncBatchNorm, EqualsItWhereMeansAreFarAboveDeviations) {
    const double places[][2] = {{1e4, 1e-2}, {1e6, 1.0}, {-1e5, 0.1}, {0.0, 1e-6}};
    for (const auto& [mean, deviation] : places) {
        expect_reference(GlobalBatch<float>(17, rank_plus_two(), 50, ChannelOrder::last, mean, deviation));
        expect_reference(GlobalBatch<double>(17, rank_plus_two(), 50, ChannelOrder::first, mean, deviation));
    }
}

TEST(SyncBatchNorm, EqualsItWithEmptyAndSingleSamples) {
    expect_reference(GlobalBatch<float>(3, {0, 2, 0, 11, 1, 0}));
    expect_reference(GlobalBatch<double>(3, {0, 2, 0, 11, 1, 0}));
    expect_reference(GlobalBatch<float>(4, {1, 1, 1, 1, 1}));
    expect_reference(GlobalBatch<float>(4, {2, 2, 2, 2, 2}, 1, ChannelOrder::last, 7.5, 0.0));
}

TEST(SyncBatchNorm, LocalStatisticsAreNotTheGlobalOnes) {
    const GlobalBatch<float> batch(3, {4, 4, 4, 4, 4});
    const auto local = step_on(Communicator(MPI_COMM_WORLD), batch, 1);
    const auto sync = step_on(Communicator(MPI_COMM_WORLD), batch, std::nullopt);
    const int first = hosted_here(batch.replicas()).begin;
    EXPECT_GT(relative_distance(batch.part(local.z, first), batch.part(sync.z, first)), 1e-2);
    EXPECT_GT(relative_distance(batch.part(local.dx, first), batch.part(sync.dx, first)), 1e-2);
}

TEST(SyncBatchNorm, TwoForwardsMayPrecedeTheirBackwards) {
    const GlobalBatch<float> first(5, rank_plus_two(), 2),
        second(5, rank_plus_two(), 2, ChannelOrder::last, 9.0, 0.1, 7);
    const auto expected_first = step_on(Communicator(MPI_COMM_WORLD), first, std::nullopt);
    const Communicator world(MPI_COMM_WORLD);
    SyncBatchNorm<float> layer(5, world, {}, {.replicas = first.replicas()});
    set_parameters(layer, first);
    const ReplicaRange hosted = hosted_here(first.replicas());
    const auto slices_of = [&](const GlobalBatch<float>& batch, std::vector<float>& z) {
        std::vector<ForwardSlice<float>> slices;
        for (int r = hosted.begin; r < hosted.end; ++r)
            slices.push_back({batch.x.data() + batch.begin(r), z.data() + batch.begin(r), batch.shape(r)});
        return slices;
    };
    std::vector<float> z(first.x.size()), dx(first.x.size());
    BatchMoments saved_first, saved_second;
    layer.forward(slices_of(first, z), saved_first);
    layer.forward(slices_of(second, z), saved_second);
    std::vector<BackwardSlice<float>> slices;
    for (int r = hosted.begin; r < hosted.end; ++r)
        slices.push_back({first.x.data() + first.begin(r), first.dz.data() + first.begin(r),
                          dx.data() + first.begin(r), first.shape(r), nullptr, nullptr});
    layer.backward(slices, saved_second);
    layer.backward(slices, saved_first);
    EXPECT_EQ(dx, expected_first.dx);
}

TEST(SyncBatchNorm, ABatchWithoutAnyValueChangesNothing) {
    const GlobalBatch<float> empty(3, {0, 0, 0, 0, 0});
    const auto result = step_on(Communicator(MPI_COMM_WORLD), empty, std::nullopt, 3);
    EXPECT_EQ(result.running_mean, (std::vector<float>{0, 0, 0}));
    EXPECT_EQ(result.running_var, (std::vector<float>{1, 1, 1}));
    for (const auto& gradients : result.gradients) EXPECT_EQ(gradients, std::vector<float>(6, 0.0F));
}

TEST(SyncBatchNorm, ABatchOfOneValueLeavesTheRunningVarianceAlone) {
    GlobalBatch<float> one(3, {0, 0, 1, 0, 0});
    const auto result = step_on(Communicator(MPI_COMM_WORLD), one, std::nullopt);
    EXPECT_EQ(result.running_var, (std::vector<float>{1, 1, 1}));
    for (std::size_t c = 0; c < 3; ++c) EXPECT_FLOAT_EQ(result.running_mean[c], 0.1F * one.x[c]);
    const ReplicaRange hosted = hosted_here(5);
    for (int replica = hosted.begin; replica < hosted.end; ++replica) {
        if (one.sizes[static_cast<std::size_t>(replica)] == 0) continue;
        EXPECT_EQ(one.part(result.z, replica), one.beta) << "a single value is its own mean";
        // γ/√ε·dz minus itself, rounded: 0 within 1e-5 of what is subtracted.
        for (const float dx : one.part(result.dx, replica)) EXPECT_NEAR(dx, 0.0, 1e-5 * 316 * 3);
    }
}

TEST(SyncBatchNorm, InferUsesTheRunningAveragesAndChangesNothing) {
    const GlobalBatch<float> batch(17, rank_plus_two(), 3);
    const Communicator world(MPI_COMM_WORLD);
    SyncBatchNorm<float> layer(17, world, {}, {.replicas = batch.replicas()});
    set_parameters(layer, batch);
    for (int step = 0; step < 3; ++step) run_step(layer, batch, hosted_here(batch.replicas()));
    const std::vector<float> mean(layer.running_mean().begin(), layer.running_mean().end());
    const std::vector<float> variance(layer.running_var().begin(), layer.running_var().end());

    const auto& constant = layer;
    std::vector<float> together(batch.x.size()), alone(batch.x.size());
    constant.infer(batch.x.data(), together.data(), batch.whole());
    const Index sample = 17 * 3;
    for (Index i = 0; i < batch.whole().batch; ++i)
        constant.infer(batch.x.data() + i * sample, alone.data() + i * sample, {1, 3});
    EXPECT_EQ(together, alone) << "a sample alone and in a batch";
    for (std::size_t i = 0; i < together.size(); ++i) {
        const std::size_t c = i % 17;
        const double expected =
            batch.gamma[c] * (batch.x[i] - mean[c]) / std::sqrt(variance[c] + 1e-5) + batch.beta[c];
        ASSERT_NEAR(together[i], expected, 1e-5);
    }
    EXPECT_TRUE(std::ranges::equal(layer.running_mean(), mean));
    EXPECT_TRUE(std::ranges::equal(layer.running_var(), variance));
    EXPECT_EQ(layer.averages().batches(), 3);
}

TEST(SyncBatchNorm, CumulativeMomentumGivesThePlainAverage) {
    const Communicator world(MPI_COMM_WORLD);
    const std::vector<Index> sizes = rank_plus_two();
    SyncBatchNorm<double> layer(2, world, {.momentum = std::nullopt},
                                {.replicas = static_cast<int>(sizes.size())});
    Wide mean = 0, variance = 0;
    for (int step = 0; step < 5; ++step) {
        const GlobalBatch<double> batch(2, sizes, 1, ChannelOrder::last, step, 1.0 + step,
                                        static_cast<std::uint64_t>(step) + 10);
        run_step(layer, batch, hosted_here(batch.replicas()));
        const Reference expected = batch.reference();
        mean += expected.mean[1] / 5;
        variance += expected.unbiased_variance(1) / 5;
    }
    EXPECT_NEAR(layer.running_mean()[1], static_cast<double>(mean), 1e-12);
    EXPECT_NEAR(layer.running_var()[1], static_cast<double>(variance), 1e-11);
}

TEST(SyncBatchNorm, NonsenseIsRefusedBeforeAnyExchange) {
    const Communicator world(MPI_COMM_WORLD);
    using Layer = SyncBatchNorm<float>;
    EXPECT_THROW(Layer(0, world), UsageError);
    EXPECT_THROW(Layer(3, world, {.epsilon = 0}), UsageError);
    EXPECT_THROW(Layer(3, world, {.epsilon = std::nan("")}), UsageError);
    EXPECT_THROW(Layer(3, world, {.momentum = 1.5}), UsageError);
    EXPECT_THROW(Layer(3, world, {}, {.replicas = world.size() - 1}), UsageError);
    EXPECT_THROW(Layer(3, world, {}, {.replicas = 4 * world.size(), .group = 3 * world.size()}), UsageError);
    Layer layer(3, world, {}, {.replicas = 2 * world.size()});
    BatchMoments saved;
    float value = 0;
    EXPECT_THROW(layer.forward(&value, &value, {0}, saved), UsageError)
        << "two replicas live here, one slice came";
    EXPECT_THROW(layer.backward(std::vector<BackwardSlice<float>>(2), saved), UsageError) << "no forward yet";
}

}  // namespace
}  // namespace lockstep
