// A run that stops between two steps of an epoch and goes on, on any number of ranks, ends with the bits of one that did
// not; a request of one rank stops all at one step.
#include <support/mpi_values.hpp>
#include <support/training.hpp>

#include <lockstep/base/error.hpp>
#include <lockstep/train/checkpoint.hpp>

#include <gtest/gtest.h>

#include "shared_folder.hpp"

namespace lockstep::test {
namespace {

using lockstep::testing::contains;
using lockstep::testing::error_of;

TrainerOptions three_epochs(const std::string& mode, OptimizerKind optimizer) {
    TrainerOptions options = small_options(4, mode);
    options.optimizer.kind = optimizer;
    options.schedule = {.kind = ScheduleKind::cosine, .learning_rate = 0.05, .epochs = 3};
    if (mode == "group:2") options.running_momentum = std::nullopt;  // needs the number of batches so far
    if (mode == "local") options.precise_batches = 3;
    return options;
}

/// What a run gives, step by step and epoch by epoch.
struct History {
    std::vector<double> losses, epochs;
    std::uint64_t result = 0;

    friend bool operator==(const History&, const History&) = default;
};

/// Trains until the step of that number (of the whole run), or to the end.
void train_until(Trainer<float>& trainer, Index last, History& history) {
    while (trainer.epoch() < trainer.options().schedule.epochs) {
        const EpochResult result = trainer.run_epoch([&](const StepResult& step) {
            history.losses.push_back(step.loss);
            if (static_cast<Index>(history.losses.size()) == last) trainer.stop_epoch();
        });
        if (result.complete) {
            trainer.recompute_running_averages();
            history.epochs.insert(history.epochs.end(), {result.loss, result.score});
        }
        if (static_cast<Index>(history.losses.size()) == last) return;
    }
    history.result = fingerprint(trainer.network());
}

History undisturbed(const TrainerOptions& options, const Dataset& data) {
    Trainer<float> trainer(options, data, Communicator::self());
    History history;
    train_until(trainer, -1, history);
    return history;
}

TEST(Stop, WithinAnEpochAndGoingOnOnOtherRanksGivesTheUninterruptedRun) {
    const Images data = noisy_columns(101);  // 7 steps an epoch, the last one smaller
    const Communicator world(MPI_COMM_WORLD), self = Communicator::self();
    for (const char* mode : {"local", "group:2", "sync"})
        for (const OptimizerKind optimizer : {OptimizerKind::sgd, OptimizerKind::adamw}) {
            const TrainerOptions options = three_epochs(mode, optimizer);
            const History expected = undisturbed(options, data);
            for (const Index last : {6, 7, 10})
                for (const bool grows : {false, true}) {
                    SCOPED_TRACE(std::string(mode) + ", " + std::string(to_string(optimizer)) + ", step " +
                                 std::to_string(last));
                    const SharedFolder folder;
                    History history;
                    {
                        Trainer<float> trainer(options, data, grows ? self : world);
                        train_until(trainer, last, history);
                        if (world.rank() == 0) save_checkpoint(trainer, folder / "checkpoint");
                    }
                    SharedFolder::barrier();
                    Trainer<float> trainer(options, data, grows ? world : self);
                    const CheckpointOrigin origin = load_checkpoint(trainer, folder / "checkpoint");
                    EXPECT_FALSE(origin.version.empty());
                    EXPECT_FALSE(origin.instruction_set.empty());
                    EXPECT_EQ(trainer.position().epoch * 7 + trainer.position().step, last);
                    train_until(trainer, -1, history);
                    EXPECT_EQ(history, expected);
                }
        }
}

TEST(Stop, AndGoingOnInTheSameTrainerGivesTheUninterruptedRun) {
    const Images data = noisy_columns(101);
    const TrainerOptions options = three_epochs("sync", OptimizerKind::sgd);
    Trainer<float> trainer(options, data, Communicator(MPI_COMM_WORLD));
    History history;
    for (const Index last : {3, 5, 9, -1}) train_until(trainer, last, history);
    EXPECT_EQ(history, undisturbed(options, data));
}

TEST(Stop, SavingBetweenStepsDisturbsNothing) {
    const Images data = noisy_columns(101);
    const Communicator world(MPI_COMM_WORLD);
    const SharedFolder folder;
    const TrainerOptions options = three_epochs("sync", OptimizerKind::sgd);
    Trainer<float> trainer(options, data, world);
    while (trainer.epoch() < 3)
        trainer.run_epoch([&](const StepResult&) {
            if (world.rank() == 0) save_checkpoint(trainer, folder / "checkpoint");
        });
    EXPECT_EQ(fingerprint(trainer.network()), undisturbed(options, data).result);
}

TEST(Stop, ARequestOfAnyRankReachesAllWithTheNextStep) {
    const Images data = noisy_columns(101);
    const Communicator world(MPI_COMM_WORLD);
    Trainer<float> trainer(three_epochs("group:2", OptimizerKind::sgd), data, world);
    std::vector<int> requests;
    trainer.run_epoch([&](const StepResult& step) {
        requests.push_back(step.request);
        if (step.step == 1 && world.rank() == world.size() - 1) trainer.request(3);
        if (step.step == 3) trainer.request(1 + world.rank());
    });
    EXPECT_EQ(requests, (std::vector<int>{0, 0, 3, 0, world.size(), 0, 0}));
}

TEST(Stop, APositionThatCannotBeIsRefused) {
    const Images data = noisy_columns(101);
    Trainer<float> trainer(three_epochs("sync", OptimizerKind::sgd), data, Communicator(MPI_COMM_WORLD));
    EXPECT_TRUE(contains(error_of<UsageError>([&] { trainer.set_position({.step = 8}); }),
                         "8 steps of an epoch of 7"));
    EXPECT_TRUE(contains(error_of<UsageError>([&] { trainer.set_position({.step = -1}); }), "-1 steps"));
    trainer.begin_epoch();
    trainer.load_batch(0);
    EXPECT_TRUE(contains(error_of<UsageError>([&] { trainer.position(); }), "update"));
}

}  // namespace
}  // namespace lockstep::test
