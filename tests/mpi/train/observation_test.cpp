// Looking at a training changes no bit of it, and what is seen does not depend on the number of ranks.
#include <lockstep/norm/moments.hpp>
#include <lockstep/train/evaluator.hpp>
#include <lockstep/train/first_replica_averages.hpp>
#include <lockstep/train/statistics_noise.hpp>
#include <support/training.hpp>

#include <gtest/gtest.h>

#include <cmath>

namespace lockstep::test {
namespace {

constexpr int replicas = 4;

struct Observed {
    std::vector<double> noise;
    std::vector<float> first_averages;
    TrainingModeResult training_mode;
    RunRecord<float> run;
};

/// A training that is looked at in every way after each step.
Observed observe(const std::string& mode, const Communicator& communicator) {
    const Images data = noisy_columns(70), other = noisy_columns(40);
    Trainer<float> trainer(small_options(replicas, mode), data, communicator);
    StatisticsNoise<float> noise(communicator, trainer.replica_map(), trainer.network().batch_norms());
    FirstReplicaAverages<float> first(communicator, trainer.network());
    Observed seen;
    std::vector<double> losses;
    while (trainer.epoch() < trainer.options().schedule.epochs) {
        trainer.run_epoch([&](const StepResult& step) {
            losses.push_back(step.loss);
            first.update();
            for (const LayerNoise& layer : noise.measure()) {
                seen.noise.push_back(layer.mean);
                seen.noise.push_back(layer.variance);
            }
        });
        seen.training_mode = trainer.evaluate_in_training_mode(other);
    }
    seen.run = record_of(trainer, std::move(losses));
    first.replace_running_averages();
    const auto averages = trainer.network().averages();
    seen.first_averages.assign(averages.begin(), averages.end());
    return seen;
}

TEST(Observation, ChangesNoBitOfTheTraining) {
    const Communicator world(MPI_COMM_WORLD);
    for (const std::string mode : {"local", "group:2", "sync"}) {
        const auto alone = train<float>(small_options(replicas, mode), noisy_columns(70), world);
        EXPECT_EQ(observe(mode, world).run.fingerprint, alone.fingerprint) << mode;
    }
}

TEST(Observation, SeesTheSameOnAnyNumberOfRanks) {
    const Communicator world(MPI_COMM_WORLD);
    for (const std::string mode : {"local", "group:2", "sync"}) {
        const Observed here = observe(mode, world), alone = observe(mode, Communicator::self());
        EXPECT_EQ(here.noise, alone.noise) << mode;
        EXPECT_EQ(here.first_averages, alone.first_averages) << mode;
        EXPECT_EQ(here.training_mode.samples, alone.training_mode.samples);
        EXPECT_EQ(here.training_mode.loss, alone.training_mode.loss) << mode;
        EXPECT_EQ(here.training_mode.score, alone.training_mode.score) << mode;
    }
}

TEST(StatisticsNoise, IsTheDeviationFromThePooledMoments) {
    const Communicator self = Communicator::self();
    const Images data = noisy_columns(70);
    Trainer<double> trainer(small_options(replicas, "local"), data, self);
    StatisticsNoise<double> noise(self, trainer.replica_map(), trainer.network().batch_norms());
    trainer.step(0);
    const auto measured = noise.measure();
    ASSERT_EQ(measured.size(), 2u);
    for (std::size_t layer = 0; layer < measured.size(); ++layer) {
        const SyncBatchNorm<double>& norm = trainer.network().batch_norms()[layer]->norm();
        const Index channels = norm.channels();
        std::vector<double> pooled(static_cast<std::size_t>(moments_size(channels)));
        for (int r = 0; r < replicas; ++r) merge_moments(pooled.data(), norm.replica_moments(r), channels);
        const MomentsView<const double> all{pooled.data(), channels};
        double mean = 0, variance = 0;
        for (int r = 0; r < replicas; ++r)
            for (Index c = 0; c < channels; ++c) {
                const MomentsView<const double> own{norm.replica_moments(r), channels};
                const double pooled_variance = all.m2()[c] / all.count();
                const double scale = pooled_variance + norm.options().epsilon;
                mean += std::pow(own.mean()[c] - all.mean()[c], 2) / scale;
                variance += std::pow((own.m2()[c] / own.count() - pooled_variance) / scale, 2);
            }
        const auto count = static_cast<double>(replicas * channels);
        EXPECT_NEAR(measured[layer].mean, std::sqrt(mean / count), 1e-12);
        EXPECT_NEAR(measured[layer].variance, std::sqrt(variance / count), 1e-12);
        EXPECT_GT(measured[layer].mean, 0);
    }
}

TEST(FirstReplicaAverages, AreTheNetworksOwnWhereStatisticsAreGlobal) {
    const Communicator world(MPI_COMM_WORLD);
    const Observed sync = observe("sync", world), local = observe("local", world);
    EXPECT_EQ(sync.first_averages, sync.run.averages);
    EXPECT_NE(local.first_averages, local.run.averages);
}

TEST(TrainingMode, LeavesOutWhatDoesNotFillABatchAndChangesNothing) {
    const Communicator world(MPI_COMM_WORLD);
    const Images data = noisy_columns(64);
    Trainer<float> trainer(small_options(replicas, "local"), data, world);
    const std::uint64_t before = fingerprint(trainer.network());
    EXPECT_EQ(trainer.evaluate_in_training_mode(noisy_columns(47)).samples, 32);
    EXPECT_EQ(trainer.evaluate_in_training_mode(noisy_columns(15)).samples, 0);
    EXPECT_EQ(fingerprint(trainer.network()), before);
}

}  // namespace
}  // namespace lockstep::test
