// Running averages pooled over ranks, and exact population statistics over a caller's loop.
#include <lockstep/base/error.hpp>
#include <lockstep/norm/precise_statistics.hpp>
#include <lockstep/norm/sync_batch_norm.hpp>

#include "support/global_batch.hpp"
#include "support/mpi_values.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

namespace lockstep {
namespace {

using testing::contains;
using testing::error_of;
using testing::normal_values;
using testing::reference_batch_norm;
using testing::same_on_all_ranks;
using testing::Wide;
using testing::world_rank;
using testing::world_size;

TEST(CumulativeAverages, AreThePlainAveragesOfTheBatchesThatHaveWhatIsAveraged) {
    // Batches on one rank alone; one value has a mean, but no variance.
    const std::vector<std::vector<double>> batches{{9}, {1, 3, 5, 7}, {2}, {}, {4, 8}, {0}, {1, 1, 4}};
    const Communicator world(MPI_COMM_WORLD);
    SyncBatchNorm<double> layer(1, world, {.momentum = std::nullopt});
    BatchMoments saved;
    double means = 0, variances = 0, with_mean = 0, with_variance = 0;
    for (const auto& values : batches) {
        const auto count = static_cast<double>(values.size());
        const bool mine = world.rank() == world.size() - 1;
        std::vector<double> x = mine ? values : std::vector<double>(), z(x.size());
        layer.forward(x, z, {static_cast<Index>(x.size())}, saved);
        if (values.empty()) continue;
        const double mean = std::accumulate(values.begin(), values.end(), 0.0) / count;
        means += mean;
        with_mean += 1;
        EXPECT_NEAR(layer.running_mean()[0], means / with_mean, 1e-12);
        double squares = 0;
        for (const double value : values) squares += (value - mean) * (value - mean);
        if (count > 1) {
            variances += squares / (count - 1);
            with_variance += 1;
        }
        EXPECT_NEAR(layer.running_var()[0], with_variance > 0 ? variances / with_variance : 1.0, 1e-12);
        EXPECT_EQ(layer.averages().batches(), static_cast<std::int64_t>(with_mean));
        EXPECT_EQ(layer.averages().batches_with_variance(), static_cast<std::int64_t>(with_variance));
    }
}

TEST(CumulativeAverages, GoOnAfterTheCountsWereSaved) {
    const std::vector<std::vector<double>> batches{{9}, {1, 3, 5, 7}, {2}, {4, 8}, {1, 1, 4}};
    SyncBatchNorm<double> straight(1, Communicator::self(), {.momentum = std::nullopt});
    SyncBatchNorm<double> first(1, Communicator::self(), {.momentum = std::nullopt}),
        second(1, Communicator::self(), {.momentum = std::nullopt});
    BatchMoments saved;
    for (std::size_t i = 0; i < batches.size(); ++i) {
        std::vector<double> z(batches[i].size());
        const BatchShape shape{static_cast<Index>(z.size())};
        straight.forward(batches[i], z, shape, saved);
        (i < 3 ? first : second).forward(batches[i], z, shape, saved);
        if (i != 2) continue;
        second.running_mean()[0] = first.running_mean()[0];
        second.running_var()[0] = first.running_var()[0];
        second.averages().set_batches(first.averages().batches(), first.averages().batches_with_variance());
    }
    EXPECT_EQ(second.running_mean()[0], straight.running_mean()[0]);
    EXPECT_EQ(second.running_var()[0], straight.running_var()[0]);
}

TEST(CumulativeAverages, CountsThatNoTrainingHasAreRefused) {
    SyncBatchNorm<float> layer(1, Communicator::self(), {.name = "bn7"});
    for (const auto& [batches, with_variance] :
         {std::pair{-1, -1}, std::pair{-1, 0}, std::pair{3, -1}, std::pair{3, 4}})
        EXPECT_TRUE(testing::contains(
            testing::error_of<UsageError>([&] { layer.averages().set_batches(batches, with_variance); }),
            "bn7"));
    EXPECT_THROW(layer.averages().set_batches(-5), UsageError);
    EXPECT_EQ(layer.averages().batches(), 0) << "an error changes nothing";
}

TEST(SynchronizeRunningAverages, PoolsMeansAndVariancesByWeight) {
    const Communicator world(MPI_COMM_WORLD);
    SyncBatchNorm<double> layer(2, Communicator::self());
    const auto mean_of = [](int rank, std::size_t c) { return 10.0 * rank + static_cast<double>(c); };
    const auto variance_of = [](int rank, std::size_t c) {
        return 1.0 + rank + 0.5 * static_cast<double>(c);
    };
    for (std::size_t c = 0; c < 2; ++c) {
        layer.running_mean()[c] = mean_of(world.rank(), c);
        layer.running_var()[c] = variance_of(world.rank(), c);
    }
    layer.averages().pool(world, 1.0 + world.rank());

    for (std::size_t c = 0; c < 2; ++c) {
        double weight = 0, mean = 0, variance = 0;
        for (int rank = 0; rank < world.size(); ++rank) {
            weight += 1.0 + rank;
            mean += (1.0 + rank) * mean_of(rank, c);
        }
        mean /= weight;
        for (int rank = 0; rank < world.size(); ++rank) {
            const double distance = mean_of(rank, c) - mean;
            variance += (1.0 + rank) * (variance_of(rank, c) + distance * distance) / weight;
        }
        EXPECT_NEAR(layer.running_mean()[c], mean, 1e-12);
        EXPECT_NEAR(layer.running_var()[c], variance, 1e-10);
    }
    EXPECT_TRUE(same_on_all_ranks(layer.running_mean()));
    EXPECT_TRUE(same_on_all_ranks(layer.running_var()));
}

TEST(SynchronizeRunningAverages, ARankOfNoWeightOnlyReceivesAndWithoutAnyNothingChanges) {
    const Communicator world(MPI_COMM_WORLD);
    SyncBatchNorm<float> layer(1, Communicator::self());
    layer.running_mean()[0] = static_cast<float>(world.rank());
    layer.averages().pool(world, 0.0);
    EXPECT_EQ(layer.running_mean()[0], static_cast<float>(world.rank()));
    const int last = world.size() - 1;
    layer.averages().pool(world, world.rank() == last ? 3.0 : 0.0);
    EXPECT_EQ(layer.running_mean()[0], static_cast<float>(last));
    EXPECT_EQ(layer.running_var()[0], 1.0F);
    for (const double weight : {-1.0, std::nan(""), std::numeric_limits<double>::infinity()})
        EXPECT_THROW(layer.averages().pool(world, weight), UsageError);
}

/// 128 samples of 3 channels whose mean wanders from sample to sample.
std::vector<double> population() {
    auto values = normal_values<double>(128 * 3, 5.0, 2.0, 77);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] += 0.05 * static_cast<double>(i);
    return values;
}

void expect_population(const SyncBatchNorm<double>& layer) {
    const std::vector<double> one(3, 1.0), zero(3, 0.0);
    const auto expected = reference_batch_norm(population(), {}, 3, {128}, one, zero, 1e-5);
    for (std::size_t c = 0; c < 3; ++c) {
        EXPECT_NEAR(layer.running_mean()[c], static_cast<double>(expected.mean[c]), 1e-11);
        EXPECT_NEAR(layer.running_var()[c], static_cast<double>(expected.unbiased_variance(c)), 1e-10);
    }
    EXPECT_TRUE(same_on_all_ranks(layer.running_mean()));
    EXPECT_TRUE(same_on_all_ranks(layer.running_var()));
}

/// Passes the population in global batches of these sizes, each spread over the ranks of `world`.
void pass_synchronized(SyncBatchNorm<double>& layer, const std::vector<Index>& sizes, int ranks, int rank,
                       PreciseStatistics<double>& precise) {
    const auto values = population();
    Index begin = 0;
    for (const Index size : sizes) {
        const Index first = begin + size * rank / ranks, last = begin + size * (rank + 1) / ranks;
        std::vector<double> z(static_cast<std::size_t>((last - first) * 3));
        BatchMoments saved;
        layer.forward(values.data() + first * 3, z.data(), {last - first}, saved);
        precise.add();
        begin += size;
    }
}

const std::vector<Index> splits[] = {
    {128}, {2, 2, 4, 8, 16, 32, 64}, {64, 32, 16, 8, 4, 2, 2}, {1, 1, 1, 125}, {29, 29, 29, 29, 12}};

TEST(PreciseStatistics, AreThoseOfThePopulationHoweverItIsCut) {
    const Communicator world(MPI_COMM_WORLD);
    for (const auto& sizes : splits) {
        SyncBatchNorm<double> layer(3, world);
        PreciseStatistics<double> precise(layer);
        pass_synchronized(layer, sizes, world.size(), world.rank(), precise);
        EXPECT_EQ(precise.batches(), static_cast<std::int64_t>(sizes.size()));
        precise.finish();
        expect_population(layer);
    }
}

TEST(PreciseStatistics, PoolWhatLocalLayersSawAlsoWhereLoopsDiffer) {
    const Communicator world(MPI_COMM_WORLD);
    for (const auto& sizes : splits) {
        SyncBatchNorm<double> layer(3, Communicator::self());
        PreciseStatistics<double> precise(layer);
        const auto values = population();
        Index begin = 0;
        int mine = 0;
        for (std::size_t i = 0; i < sizes.size(); begin += sizes[i], ++i) {
            // Whole batches in turn: some ranks get more of them, some none.
            if (static_cast<int>(i) % world.size() != world.rank()) continue;
            std::vector<double> z(static_cast<std::size_t>(sizes[i] * 3));
            BatchMoments saved;
            layer.forward(values.data() + begin * 3, z.data(), {sizes[i]}, saved);
            precise.add();
            ++mine;
        }
        EXPECT_EQ(precise.batches(), mine);
        precise.finish(world, static_cast<std::int64_t>(sizes.size()));
        expect_population(layer);
    }
}

TEST(PreciseStatistics, TooFewBatchesAreAnErrorOnEveryRankAndChangeNothing) {
    const Communicator world(MPI_COMM_WORLD);
    SyncBatchNorm<double> layer(3, world, {.name = "bn4"});
    PreciseStatistics<double> precise(layer);
    EXPECT_THROW(precise.add(), UsageError) << "no forward yet";
    EXPECT_THROW(precise.finish(), UsageError) << "no batch at all";
    pass_synchronized(layer, {2, 2, 4}, world.size(), world.rank(), precise);
    // A batch without values does not count.
    BatchMoments saved;
    layer.forward(std::span<const double>(), std::span<double>(), {0}, saved);
    precise.add();
    const double before = layer.running_mean()[0];
    const std::string text = error_of<UsageError>([&] { precise.finish(4); });
    for (const std::string part : {"bn4", "3 batches", "at least 4"})
        EXPECT_TRUE(contains(text, part)) << text;
    EXPECT_THROW(precise.finish(world, 3 * world.size() + 1), UsageError);
    EXPECT_EQ(layer.running_mean()[0], before);
    precise.finish(3);
    EXPECT_NE(layer.running_mean()[0], before);
}

TEST(PreciseStatistics, RefuseLayersThatOneSetOfMomentsCannotDescribe) {
    const Communicator world(MPI_COMM_WORLD);
    SyncBatchNorm<double> untracked(3, world, {.track_running_averages = false});
    EXPECT_THROW(PreciseStatistics<double>{untracked}, UsageError);
    SyncBatchNorm<double> grouped(3, world, {}, {.replicas = 2 * world.size(), .group = 1});
    EXPECT_THROW(PreciseStatistics<double>{grouped}, UsageError);
    SyncBatchNorm<double> frozen(3, world, {.frozen = true});
    PreciseStatistics<double> precise(frozen);
    BatchMoments saved;
    frozen.forward(std::span<const double>(), std::span<double>(), {0}, saved);
    EXPECT_THROW(precise.add(), UsageError);
}

}  // namespace
}  // namespace lockstep
