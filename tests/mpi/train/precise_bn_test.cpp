// PreciseBN: running averages that are the moments of a population, not of the last few batches.
#include <support/training.hpp>

#include <lockstep/base/error.hpp>

#include <gtest/gtest.h>

namespace lockstep::test {
namespace {

constexpr std::size_t channels = 36;

/// The averages after two epochs and PreciseBN over `batches` global batches.
RunRecord<double> precise(TrainerOptions options, Index batches, const Dataset& data,
                          const Communicator& communicator) {
    options.precise_batches = batches;
    Trainer<double> trainer(options, data, communicator);
    trainer.run_epoch();
    trainer.recompute_running_averages();
    return record_of(trainer, {});
}

std::vector<double> part(const std::vector<double>& values, std::size_t begin, std::size_t count) {
    const auto first = values.begin() + static_cast<std::ptrdiff_t>(begin);
    return {first, first + static_cast<std::ptrdiff_t>(count)};
}

/// Mean and unbiased variance of every pixel over the data set.
struct Population {
    std::vector<double> mean = std::vector<double>(channels), variance = std::vector<double>(channels);

    explicit Population(const Images& data) {
        const auto count = static_cast<double>(data.size());
        for (std::size_t c = 0; c < channels; ++c) {
            for (Index i = 0; i < data.size(); ++i) mean[c] += data.sample(i)[c] / 255.0 / count;
            for (Index i = 0; i < data.size(); ++i)
                variance[c] += std::pow(data.sample(i)[c] / 255.0 - mean[c], 2) / (count - 1);
        }
    }
};

std::size_t variance_offset(const TrainerOptions& options, const Dataset& data) {
    const Trainer<double> trainer(options, data, Communicator::self());
    return static_cast<std::size_t>(trainer.network().layout().averages()[1].offset);
}

TEST(PreciseBatchNorm, IsExactForTheFirstLayer) {
    const Images data = noisy_columns(101);
    const Population population(data);
    for (const char* mode : {"local", "group:2", "sync"}) {
        SCOPED_TRACE(mode);
        const TrainerOptions options = small_options(4, mode);
        const auto run = precise(options, 7, data, Communicator(MPI_COMM_WORLD));
        const auto variance = part(run.averages, variance_offset(options, data), channels);
        EXPECT_LT(relative_difference(part(run.averages, 0, channels), population.mean), 1e-12);
        EXPECT_LT(relative_difference(variance, population.variance), 1e-12);
    }
}

TEST(PreciseBatchNorm, HasTheSameBitsOnAnyNumberOfRanks) {
    const Images data = noisy_columns(101);
    for (const char* mode : {"local", "group:2", "sync"}) {
        const auto alone = precise(small_options(4, mode), 3, data, Communicator::self());
        const auto together = precise(small_options(4, mode), 3, data, Communicator(MPI_COMM_WORLD));
        EXPECT_EQ(together.averages, alone.averages) << mode;
        EXPECT_EQ(together.fingerprint, alone.fingerprint) << mode;
    }
}

TEST(PreciseBatchNorm, DoesNotDependOnHowSynchronizedBatchesAreSplit) {
    const Images data = noisy_columns(101);
    const auto few = precise(small_options(4, "sync", 4), 5, data, Communicator(MPI_COMM_WORLD));
    const auto many = precise(small_options(8, "sync", 2), 5, data, Communicator(MPI_COMM_WORLD));
    const auto one = precise(small_options(1, "sync", 16), 5, data, Communicator::self());
    EXPECT_LT(relative_difference(few.averages, one.averages), 1e-9);
    EXPECT_LT(relative_difference(many.averages, one.averages), 1e-9);
}

TEST(PreciseBatchNorm, ChangesNoParameterAndNoLaterStep) {
    const Images data = noisy_columns(101);
    const auto losses = [&](Index batches) {
        TrainerOptions options = small_options(4, "local");
        options.precise_batches = batches;
        Trainer<float> trainer(options, data, Communicator(MPI_COMM_WORLD));
        std::vector<double> all;
        for (int epoch = 0; epoch < 2; ++epoch) {
            trainer.run_epoch([&](const StepResult& step) { all.push_back(step.loss); });
            trainer.recompute_running_averages();
        }
        return all;
    };
    EXPECT_EQ(losses(4), losses(0));
}

TEST(PreciseBatchNorm, OverMoreBatchesThanAnEpochHasIsAnError) {
    const Images data = noisy_columns(101);
    TrainerOptions options = small_options(4, "sync");
    options.precise_batches = 8;
    EXPECT_THROW(Trainer<float>(options, data, Communicator(MPI_COMM_WORLD)), UsageError);
}

}  // namespace
}  // namespace lockstep::test
