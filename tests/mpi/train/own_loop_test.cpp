// A loop of one's own: the same bits as run_epoch; calls in another order are errors.
#include <support/mpi_values.hpp>
#include <support/training.hpp>

#include <lockstep/base/error.hpp>

#include <gtest/gtest.h>

#include <cmath>

namespace lockstep::test {
namespace {

using testing::contains;
using testing::error_of;

TEST(OwnLoop, GivesTheBitsOfRunEpoch) {
    const Communicator world(MPI_COMM_WORLD);
    const Images data = noisy_columns(101);
    for (const char* mode : {"local", "sync"}) {
        const TrainerOptions options = small_options(4, mode);
        Trainer<float> whole(options, data, world), apart(options, data, world);
        for (int epoch = 0; epoch < 2; ++epoch) {
            const EpochResult expected = whole.run_epoch();
            double loss = 0;
            apart.begin_epoch();
            for (Index step = 0; step < apart.steps_per_epoch(); ++step) {
                apart.load_batch(step);
                apart.forward();
                apart.compute_loss();
                apart.backward();
                const StepResult one = apart.update(apart.learning_rate(step));
                loss += one.loss * static_cast<double>(one.samples);
            }
            apart.end_epoch();
            EXPECT_EQ(loss / 101, expected.loss);
        }
        EXPECT_EQ(fingerprint(apart.network()), fingerprint(whole.network())) << mode;
        EXPECT_EQ(apart.epoch(), 2);
    }
}

TEST(OwnLoop, AnotherOrderIsAnError) {
    const Communicator world(MPI_COMM_WORLD);
    const Images data = noisy_columns(101);
    Trainer<float> trainer(small_options(4, "sync"), data, world);
    const auto refuses = [&](auto action, const char* due) {
        EXPECT_TRUE(contains(error_of<UsageError>(action), due));
    };
    refuses([&] { trainer.load_batch(0); }, "begin_epoch is due");
    trainer.begin_epoch();
    refuses([&] { trainer.forward(); }, "load_batch or end_epoch is due");
    refuses([&] { trainer.load_batch(-1); }, "no step -1");
    refuses([&] { trainer.load_batch(trainer.steps_per_epoch()); }, "no step");
    trainer.load_batch(0);
    refuses([&] { trainer.backward(); }, "forward is due");
    refuses([&] { trainer.end_epoch(); }, "forward is due");
    refuses([&] { trainer.begin_epoch(); }, "forward is due");
    refuses([&] { trainer.evaluate_in_training_mode(data); }, "forward is due");
    trainer.forward();
    refuses([&] { trainer.update(0.1); }, "compute_loss is due");
    trainer.compute_loss();
    trainer.backward();
    trainer.update(0.1);
    trainer.end_epoch();
}

TEST(OwnLoop, StepsOfAnEpochSeeItsOrderHoweverItBegan) {
    const Communicator world(MPI_COMM_WORLD);
    const Images data = noisy_columns(101);
    Trainer<float> whole(small_options(4, "sync"), data, world),
        stepwise(small_options(4, "sync"), data, world);
    for (int epoch = 0; epoch < 2; ++epoch) {
        whole.run_epoch();
        for (Index step = 0; step < stepwise.steps_per_epoch(); ++step) stepwise.step(step);
        stepwise.end_epoch();
    }
    EXPECT_EQ(fingerprint(stepwise.network()), fingerprint(whole.network()));
}

TEST(OwnLoop, ARateThatIsNoNumberIsAnError) {
    const Images data = noisy_columns(101);
    Trainer<float> trainer(small_options(4, "sync"), data, Communicator(MPI_COMM_WORLD));
    trainer.begin_epoch();
    trainer.load_batch(0);
    trainer.forward();
    trainer.compute_loss();
    trainer.backward();
    EXPECT_TRUE(contains(error_of<UsageError>([&] { trainer.update(std::nan("")); }), "learning rate"));
}

TEST(OwnLoop, RanksAtDifferentStepsAreNamed) {
    const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 30});
    if (world.size() == 1) return;
    const Images data = noisy_columns(101);
    Trainer<float> trainer(small_options(4, "local"), data, world);
    trainer.begin_epoch();
    trainer.load_batch(world.rank() == 0 ? 0 : 1);
    trainer.forward();
    EXPECT_TRUE(contains(error_of<CommunicationError>([&] {
                             trainer.compute_loss();
                             trainer.backward();
                             trainer.update(0.1);
                         }),
                         "call 2"));
}

TEST(OwnLoop, WhatIsNoLongerFiniteAfterTheLastStepIsAnError) {
    const Images data = noisy_columns(101);
    Trainer<float> trainer(small_options(4, "sync"), data, Communicator(MPI_COMM_WORLD));
    for (Index step = 0; step < trainer.steps_per_epoch(); ++step) trainer.step(step);
    const ParameterInfo& last = trainer.network().layout().parameters().back();
    trainer.network().parameters()[static_cast<std::size_t>(last.end() - 1)] = INFINITY;
    EXPECT_TRUE(contains(error_of<NumericalError>([&] { trainer.end_epoch(); }), "after epoch 1: '5.bias'"));
    EXPECT_TRUE(contains(error_of<UsageError>([&] { trainer.set_epoch(-1); }), "-1 epochs"));
}

TEST(OwnLoop, PreciseBatchesAreNotForTheMiddleOfAnEpoch) {
    const Images data = noisy_columns(101);
    TrainerOptions options = small_options(4, "sync");
    options.precise_batches = 1;
    Trainer<float> trainer(options, data, Communicator(MPI_COMM_WORLD));
    trainer.step(0);
    EXPECT_TRUE(
        contains(error_of<UsageError>([&] { trainer.recompute_running_averages(); }), "end_epoch is due"));
}

TEST(OwnLoop, DifferentRatesAreNamedAtTheNextEpochAtTheLatest) {
    const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 30});
    if (world.size() == 1) return;
    const Images data = noisy_columns(101);
    Trainer<float> trainer(small_options(4, "sync"), data, world);
    trainer.begin_epoch();
    trainer.load_batch(0);
    trainer.forward();
    trainer.compute_loss();
    trainer.backward();
    // In the step if the ranks share a node's parameters, else by what has become of them.
    const std::string text = error_of<CommunicationError>([&] {
        trainer.update(world.rank() == 0 ? 0.1 : 0.2);
        trainer.end_epoch();
        trainer.begin_epoch();
    });
    EXPECT_TRUE(contains(text, "learning rate: 0.1 on rank 0") || contains(text, "parameters")) << text;
}

}  // namespace
}  // namespace lockstep::test
