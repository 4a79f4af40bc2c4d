// A run that is interrupted and continued, on any number of ranks, ends with the bits of one that was not.
#include <support/mpi_values.hpp>
#include <support/training.hpp>

#include <lockstep/base/error.hpp>
#include <lockstep/train/checkpoint.hpp>

#include <gtest/gtest.h>

#include <optional>

#include "shared_folder.hpp"

namespace lockstep::test {
namespace {

void train_until(Trainer<float>& trainer, Index epoch, std::vector<double>& losses) {
    while (trainer.epoch() < epoch) {
        trainer.run_epoch([&](const StepResult& step) { losses.push_back(step.loss); });
        trainer.recompute_running_averages();
    }
}

/// Trains on `first`, writes a checkpoint after two of five epochs, and continues on `second`.
RunRecord<float> interrupted(const TrainerOptions& options, const Dataset& data, const Communicator& first,
                             const Communicator& second, const std::filesystem::path& file) {
    std::vector<double> losses;
    {
        Trainer<float> trainer(options, data, first);
        train_until(trainer, 2, losses);
        if (Communicator(MPI_COMM_WORLD).rank() == 0) save_checkpoint(trainer, file);
    }
    SharedFolder::barrier();
    Trainer<float> trainer(options, data, second);
    load_checkpoint(trainer, file);
    EXPECT_EQ(trainer.epoch(), 2);
    train_until(trainer, 5, losses);
    return record_of(trainer, std::move(losses));
}

TrainerOptions five_epochs(const std::string& mode, OptimizerKind optimizer) {
    TrainerOptions options = small_options(4, mode);
    options.optimizer.kind = optimizer;
    options.schedule = {.kind = ScheduleKind::cosine, .learning_rate = 0.05, .epochs = 5};
    if (mode == "group:2") options.running_momentum = std::nullopt;  // needs the number of batches so far
    if (mode == "local") options.precise_batches = 3;
    return options;
}

TEST(Resume, OnAnotherNumberOfRanksGivesTheUninterruptedRun) {
    const Images data = noisy_columns(101);
    const Communicator world(MPI_COMM_WORLD);
    for (const char* mode : {"local", "group:2", "sync"})
        for (const OptimizerKind optimizer : {OptimizerKind::sgd, OptimizerKind::adamw}) {
            SCOPED_TRACE(std::string(mode) + ", " + std::string(to_string(optimizer)));
            const TrainerOptions options = five_epochs(mode, optimizer);
            std::vector<double> losses;
            Trainer<float> uninterrupted(options, data, Communicator::self());
            train_until(uninterrupted, 5, losses);
            const auto expected = record_of(uninterrupted, losses);

            const SharedFolder folder;
            const auto larger = interrupted(options, data, Communicator::self(), world, folder / "up");
            const auto smaller = interrupted(options, data, world, Communicator::self(), folder / "down");
            EXPECT_EQ(larger.losses, expected.losses);
            EXPECT_EQ(larger.fingerprint, expected.fingerprint);
            EXPECT_EQ(smaller.losses, expected.losses);
            EXPECT_EQ(smaller.fingerprint, expected.fingerprint);
        }
}

TEST(Resume, OfARunWithOtherSettingsIsAnError) {
    const Images data = noisy_columns(101);
    const Communicator world(MPI_COMM_WORLD);
    const SharedFolder folder;
    Trainer<float> trainer(five_epochs("sync", OptimizerKind::sgd), data, world);
    const auto before = fingerprint(trainer.network());
    if (world.rank() == 0) save_checkpoint(trainer, folder / "checkpoint");
    SharedFolder::barrier();
    EXPECT_THROW(load_checkpoint(trainer, folder / "missing"), FileError);
    trainer.begin_epoch();
    trainer.load_batch(0);
    EXPECT_THROW(save_checkpoint(trainer, folder / "within-a-step"), UsageError);
    EXPECT_EQ(fingerprint(trainer.network()), before);

    // Each error names what differs, then and now, and nothing else.
    TrainerOptions faster = five_epochs("sync", OptimizerKind::sgd);
    faster.schedule.learning_rate *= 2;
    Trainer<float> other(faster, data, world);
    const std::string text =
        lockstep::testing::error_of<FileError>([&] { load_checkpoint(other, folder / "checkpoint"); });
    for (const std::string& part :
         {std::string("learning rate"), shortest_text(faster.schedule.learning_rate),
          shortest_text(faster.schedule.learning_rate / 2)})
        EXPECT_TRUE(lockstep::testing::contains(text, part)) << text;
    EXPECT_FALSE(lockstep::testing::contains(text, "momentum")) << text;

    Images other_data = data;
    other_data.pixels[7] ^= 1;
    Trainer<float> with_other_data(five_epochs("sync", OptimizerKind::sgd), other_data, world);
    EXPECT_TRUE(lockstep::testing::contains(lockstep::testing::error_of<FileError>([&] {
                                                load_checkpoint(with_other_data, folder / "checkpoint");
                                            }),
                                            "training data"));
    Trainer<float> adamw(five_epochs("sync", OptimizerKind::adamw), data, world);
    EXPECT_THROW(load_checkpoint(adamw, folder / "checkpoint"), FileError);
}

TEST(Resume, WithAnotherOfWhatOnlyTheCallerKnowsIsAnError) {
    const Images data = noisy_columns(101);
    const Communicator world(MPI_COMM_WORLD);
    const SharedFolder folder;
    Trainer<float> trainer(five_epochs("sync", OptimizerKind::sgd), data, world);
    if (world.rank() == 0) save_checkpoint(trainer, folder / "checkpoint", {{"test data", "these"}});
    SharedFolder::barrier();
    load_checkpoint(trainer, folder / "checkpoint", {{"test data", "these"}});
    const auto refusal = [&](const Settings& more) {
        return lockstep::testing::error_of<FileError>(
            [&] { load_checkpoint(trainer, folder / "checkpoint", more); });
    };
    EXPECT_TRUE(
        lockstep::testing::contains(refusal({{"test data", "those"}}), "test data was these, and is those"));
    EXPECT_TRUE(lockstep::testing::contains(refusal({}), "test data was these, and is (not set)"));
}

}  // namespace
}  // namespace lockstep::test
