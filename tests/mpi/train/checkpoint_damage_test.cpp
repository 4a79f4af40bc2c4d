// Flipped bytes of a checkpoint: each is noticed, with words, or changes nothing. LOCKSTEP_FLIPS says how many (default
// 500): LOCKSTEP_FLIPS=10000 build/tests/mpi/train/train_damage
#include <support/scratch_folder.hpp>
#include <support/training.hpp>

#include <lockstep/base/error.hpp>
#include <lockstep/base/hash.hpp>
#include <lockstep/train/checkpoint.hpp>

#include <gtest/gtest.h>

#include <cstdlib>

namespace lockstep::test {
namespace {

int flips() {
    const char* const text = std::getenv("LOCKSTEP_FLIPS");
    return text == nullptr ? 500 : std::atoi(text);
}

/// All that a checkpoint restores.
std::uint64_t state_of(Trainer<float>& trainer) {
    Hash64 hash;
    hash.add_value(fingerprint(trainer.network()));
    for (const auto& state : trainer.optimizer().state()) hash.add(std::as_bytes(std::span(state.values)));
    hash.add_value(trainer.optimizer().step_count());
    const TrainingPosition position = trainer.position();
    for (const Index count : {position.epoch, position.step}) hash.add_value(count);
    for (const double sum : {position.loss, position.score.samples, position.score.parts[0]})
        hash.add_value(sum);
    return hash.value();
}

TEST(CheckpointDamage, NoFlippedByteGoesUnnoticedOrChangesABit) {
    const Images data = noisy_columns(101);
    const ScratchFolder folder;
    TrainerOptions options = small_options(4, "sync");
    options.optimizer.kind = OptimizerKind::adamw;
    Trainer<float> trainer(options, data, Communicator::self());
    trainer.run_epoch();
    trainer.step(0);
    trainer.step(1);  // within an epoch, whose sums are in the header
    save_checkpoint(trainer, folder / "sound");
    const std::string sound = read_text(folder / "sound");
    const std::uint64_t expected = state_of(trainer);

    RandomStream random(7, RandomPurpose::test, 0);
    int refused = 0;
    for (int round = 0; round < flips(); ++round) {
        std::string bad = sound;
        const auto at = static_cast<std::size_t>(random.uniform() * static_cast<double>(bad.size()));
        bad[at] = static_cast<char>(bad[at] ^ (1 + static_cast<int>(random.uniform() * 255)));
        std::filesystem::remove(folder / "bad");
        write_text(folder / "bad", bad);
        try {
            load_checkpoint(trainer, folder / "bad");
        } catch (const FileError& error) {
            ++refused;
            EXPECT_NE(std::string(error.what()).find((folder / "bad").string()), std::string::npos)
                << error.what();
        }
        ASSERT_EQ(state_of(trainer), expected) << "byte " << at << " of " << sound.size();
    }
    EXPECT_GE(refused, flips() * 99 / 100);
}

}  // namespace
}  // namespace lockstep::test
