// Layers of a user's own, every activation and batch norms with settings of their own: the same bits at any number of
// ranks, and back from files.
#include <support/mpi_values.hpp>
#include <support/own_layers.hpp>
#include <support/scratch_folder.hpp>
#include <support/training.hpp>

#include <lockstep/train/checkpoint.hpp>
#include <lockstep/train/model_file.hpp>

#include <gtest/gtest.h>

namespace lockstep::test {
namespace {

TrainerOptions own_options(const char* mode) {
    register_own_layers();
    TrainerOptions options = small_options(6, mode);
    options.model =
        "batchnorm, linear 9, leaky-relu, elu 0.5, shift 0.1, batchnorm momentum cumulative affine false, "
        "gelu, "
        "residual { linear 9, silu, scale 0.5, batchnorm epsilon 0.01 }, tanh, linear 7, gelu tanh, sigmoid, "
        "softplus, identity, shift, linear 5";
    return options;
}

TEST(OwnLayers, TrainWithTheSameBitsOnAnyNumberOfRanks) {
    const Images data = noisy_columns(67);
    for (const char* mode : {"local", "group:2", "sync"}) {
        SCOPED_TRACE(mode);
        const auto alone = train<float>(own_options(mode), data, Communicator::self());
        const auto together = train<float>(own_options(mode), data, Communicator(MPI_COMM_WORLD));
        EXPECT_EQ(together.losses, alone.losses);
        EXPECT_EQ(together.fingerprint, alone.fingerprint);
        EXPECT_NE(alone.losses.back(), alone.losses.front()) << "nothing happens, so nothing is tested";
    }
}

TEST(OwnLayers, ComeBackFromACheckpoint) {
    const Images data = noisy_columns(67);
    const TrainerOptions options = own_options("sync");
    const ScratchFolder folder;
    Trainer<float> trainer(options, data, Communicator::self());
    trainer.run_epoch({});
    save_checkpoint(trainer, folder / "checkpoint");
    trainer.run_epoch({});

    Trainer<float> continued(options, data, Communicator::self());
    load_checkpoint(continued, folder / "checkpoint");
    continued.run_epoch({});
    EXPECT_EQ(fingerprint(continued.network()), fingerprint(trainer.network()));

    save_checkpoint(continued, folder / "checkpoint");
    const auto loaded = load_model<float>(folder / "checkpoint");
    EXPECT_EQ(fingerprint(*loaded.network), fingerprint(trainer.network()));
    EXPECT_EQ(loaded.network->batch_norms()[1]->norm().options().momentum, std::nullopt);
}

}  // namespace
}  // namespace lockstep::test
