// The same bits at any number of ranks: every rank trains alone, hosting all replicas, and then together with
// the others, and must get the same losses, parameters and running averages.
#include <support/mpi_values.hpp>
#include <support/training.hpp>

#include <lockstep/base/error.hpp>

#include <gtest/gtest.h>

namespace lockstep::test {
namespace {

struct Recipe {
    std::string name;
    void (*apply)(TrainerOptions&);
};

const std::vector<Recipe> recipes = {
    {"sgd with momentum, weight decay and dropout", [](TrainerOptions&) {}},
    {"nesterov with a cosine schedule and decay of weights alone",
     [](TrainerOptions& options) {
         options.optimizer.nesterov = true;
         options.optimizer.decay = WeightDecayScope::weights;
         options.schedule.kind = ScheduleKind::cosine;
         options.schedule.warmup_epochs = 1;
         options.running_momentum = std::nullopt;
     }},
    {"adamw with augmentation",
     [](TrainerOptions& options) {
         options.optimizer.kind = OptimizerKind::adamw;
         options.schedule.learning_rate = 0.01;
         options.augmentation = {.crop_padding = 1, .horizontal_flip = true};
         options.precise_batches = 2;
     }},
};

/// Trains on `communicator`, with PreciseBN at the end where that is asked for.
template <class Scalar>
RunRecord<Scalar> run(const TrainerOptions& options, const Dataset& data, const Communicator& communicator) {
    Trainer<Scalar> trainer(options, data, communicator);
    std::vector<double> losses;
    for (Index epoch = 0; epoch < options.schedule.epochs; ++epoch) {
        trainer.run_epoch([&](const StepResult& step) { losses.push_back(step.loss); });
        trainer.recompute_running_averages();
    }
    return record_of(trainer, std::move(losses));
}

template <class Scalar>
void expect_same_bits_as_alone(TrainerOptions options, const Dataset& data) {
    const auto alone = run<Scalar>(options, data, Communicator::self());
    for (const GradientPath path : {GradientPath::automatic, GradientPath::messages}) {
        options.gradient_path = path;
        const auto together = run<Scalar>(options, data, Communicator(MPI_COMM_WORLD));
        EXPECT_EQ(together.losses, alone.losses);
        EXPECT_EQ(together.parameters, alone.parameters);
        EXPECT_EQ(together.averages, alone.averages);
        EXPECT_EQ(together.fingerprint, alone.fingerprint);
    }
    EXPECT_NE(alone.losses.back(), alone.losses.front()) << "nothing happens, so nothing is tested";
}

TEST(Fingerprint, DoesNotDependOnTheNumberOfRanks) {
    const Images data = noisy_columns(101);  // prime: no batch size divides it
    for (const int replicas : {4, 6, 8})
        for (const char* mode : {"local", "group:2", "sync"})
            for (const Recipe& recipe : recipes) {
                SCOPED_TRACE(std::to_string(replicas) + " replicas, " + mode + ", " + recipe.name);
                TrainerOptions options = small_options(replicas, mode);
                recipe.apply(options);
                expect_same_bits_as_alone<float>(options, data);
            }
}

TEST(Fingerprint, DoesNotDependOnTheNumberOfRanksInDouble) {
    const Images data = noisy_columns(67);
    for (const char* mode : {"local", "group:3", "sync"})
        expect_same_bits_as_alone<double>(small_options(6, mode), data);
}

// Gradients of several buckets, which go through the exchange of long messages.
TEST(Fingerprint, DoesNotDependOnTheNumberOfRanksWithLargeLayers) {
    const Images data = noisy_columns(53);
    TrainerOptions options = small_options(7, "sync");
    options.model = "batchnorm, linear 301, relu, batchnorm, linear 300, relu, batchnorm, linear 5";
    options.schedule.learning_rate = 0.02;
    expect_same_bits_as_alone<float>(options, data);
    options.batch_norm = BatchNormMode::parse("local");
    expect_same_bits_as_alone<float>(options, data);
}

// Ten samples in two batches of five: four of nine slices are empty in every step.
TEST(Fingerprint, DoesNotDependOnTheNumberOfRanksWithEmptyReplicas) {
    const Images data = noisy_columns(10);
    TrainerOptions options = small_options(9, "sync", 1);
    options.schedule.epochs = 6;
    expect_same_bits_as_alone<float>(options, data);
}

TEST(Fingerprint, MoreReplicasThanSamplesAreAnError) {
    const Images data = noisy_columns(10);
    EXPECT_THROW(Trainer<float>(small_options(11, "sync"), data, Communicator::self()), UsageError);
    EXPECT_THROW(Trainer<float>(small_options(1'000'000'000, "sync"), data, Communicator::self()),
                 UsageError);
}

TEST(Fingerprint, FastReductionIsCloseThoughNotTheSame) {
    const Images data = noisy_columns(101);
    TrainerOptions options = small_options(8, "group:2");
    const auto reproducible = run<double>(options, data, Communicator::self());
    options.reduction = Reduction::fast;
    const auto fast = run<double>(options, data, Communicator(MPI_COMM_WORLD));
    EXPECT_LT(relative_difference(fast.parameters, reproducible.parameters), 1e-10);
}

TEST(Fingerprint, DependsOnSeedAndReplicas) {
    const Images data = noisy_columns(101);
    TrainerOptions options = small_options(4, "local");
    const auto first = run<float>(options, data, Communicator::self());
    options.seed = 6;
    EXPECT_NE(run<float>(options, data, Communicator::self()).fingerprint, first.fingerprint);
    options = small_options(8, "local");
    EXPECT_NE(run<float>(options, data, Communicator::self()).fingerprint, first.fingerprint);
}

// The parameters, averages and loss of every single step, not only those at the end.
TEST(Ranks, HoldTheSameParametersAndAveragesAfterEveryStep) {
    const Images data = noisy_columns(101);
    for (const char* mode : {"local", "group:2", "sync"}) {
        SCOPED_TRACE(mode);
        Index steps = 0;
        train<float>(small_options(4, mode), data, Communicator(MPI_COMM_WORLD),
                     [&](const Trainer<float>& trainer) {
                         ++steps;
                         EXPECT_TRUE(testing::same_on_all_ranks(trainer.network().parameters()));
                         EXPECT_TRUE(testing::same_on_all_ranks(trainer.network().averages()));
                     });
        EXPECT_EQ(steps, 14);
    }
}

}  // namespace
}  // namespace lockstep::test
