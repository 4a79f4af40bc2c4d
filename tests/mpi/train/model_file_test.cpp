// Model files: the file alone gives back the network, its input transform, and the same bits.
#include "stored_arrays.hpp"

#include <support/mpi_values.hpp>
#include <support/scratch_folder.hpp>
#include <support/training.hpp>

#include <lockstep/base/error.hpp>
#include <lockstep/train/checkpoint.hpp>
#include <lockstep/train/evaluator.hpp>
#include <lockstep/train/model_file.hpp>

#include <gtest/gtest.h>

#include <limits>

namespace lockstep::test {
namespace {

using lockstep::testing::contains;

TrainerOptions odd_options(InputKind input) {
    TrainerOptions options = small_options(4, "group:2");
    options.input = input;
    options.epsilon = 0.1 + 0.2;  // no short decimal number
    options.schedule.epochs = 1;
    return options;
}

TEST(ModelFile, GivesBackTheNetworkAndItsTransformOnAnyNumberOfRanks) {
    const Images data = noisy_columns(101), other = noisy_columns(300);
    const Communicator world(MPI_COMM_WORLD);
    const ScratchFolder folder;
    for (const InputKind input : {InputKind::raw, InputKind::unit, InputKind::standardized}) {
        Trainer<float> trainer(odd_options(input), data, world);
        trainer.run_epoch();
        const Evaluation expected =
            evaluate(trainer.network(), other, trainer.transform(), trainer.loss(), world);
        save_model(trainer.network(), signature_of(trainer), folder / "model");
        save_checkpoint(trainer, folder / "checkpoint");
        for (const char* const name : {"model", "checkpoint"}) {
            const auto loaded = load_model<float>(folder / name);
            EXPECT_EQ(fingerprint(*loaded.network), fingerprint(trainer.network()));
            EXPECT_EQ(loaded.signature.input, trainer.transform());
            EXPECT_EQ(loaded.signature.epsilon, 0.1 + 0.2);
            EXPECT_EQ(loaded.signature.target.classes, 5);
            EXPECT_EQ(loaded.signature.dataset, data.title);
            const Evaluation result =
                evaluate(*loaded.network, other, loaded.signature.input, trainer.loss(), world);
            EXPECT_EQ(result.loss, expected.loss);
            EXPECT_EQ(result.confusion, expected.confusion);
        }
    }
}

TEST(ModelFile, ItsNumbersReadBackAsTheSameBits) {
    const ScratchFolder folder;
    RandomStream random(4, RandomPurpose::test, 0);
    for (int trial = 0; trial < 50; ++trial) {
        std::vector<double> offsets, divisors;
        for (int channel = 0; channel < 3; ++channel) {
            offsets.push_back(std::ldexp(random.normal(), static_cast<int>(random.below(200)) - 100));
            divisors.push_back(
                std::ldexp(0.5 + random.uniform(), static_cast<int>(random.below(2000)) - 1000));
        }
        offsets[0] = trial % 2 == 0 ? -0.0 : std::numeric_limits<double>::denorm_min();
        const ModelSignature signature{
            .model = "linear 3",
            .epsilon = random.uniform() + 1e-300,
            .target = {.classes = 3},
            .dataset = "Größe \"1\"\n",
            .input = InputTransform(InputKind::standardized, {2, 3, 3}, offsets, divisors)};
        SafetensorsWriter writer;
        add_signature(signature, writer);
        writer.write(folder / "signature");
        const auto again = read_signature(SafetensorsFile::read(folder / "signature"));
        ASSERT_TRUE(again.has_value());
        EXPECT_EQ(again->input, signature.input);
        EXPECT_EQ(std::signbit(again->input.offset(0)), std::signbit(offsets[0]));
        EXPECT_EQ(again->epsilon, signature.epsilon);
        EXPECT_EQ(again->dataset, signature.dataset);
    }
}

TEST(ModelFile, WeightsAloneHaveNoSignature) {
    const Images data = noisy_columns(101);
    const Trainer<float> trainer(odd_options(InputKind::unit), data, Communicator::self());
    const ScratchFolder folder;
    save_weights(trainer.network(), folder / "weights");
    const SafetensorsFile file = SafetensorsFile::read(folder / "weights");
    EXPECT_EQ(read_signature(file), std::nullopt);
    const std::string why = message_of<FileError>([&] { load_model<float>(folder / "weights"); });
    EXPECT_TRUE(contains(why, "lockstep.model")) << why;
    EXPECT_EQ(fingerprint(*load_model<float>(file, signature_of(trainer)).network),
              fingerprint(trainer.network()));
}

TEST(ModelFile, ASignatureThatIsIncompleteOrMakesNoSenseIsRefused) {
    const Images data = noisy_columns(101);
    const Trainer<float> trainer(odd_options(InputKind::standardized), data, Communicator::self());
    const ScratchFolder folder;
    save_model(trainer.network(), signature_of(trainer), folder / "model");
    const StoredArrays sound = StoredArrays::read(folder / "model");
    const auto refusal = [&](const StoredArrays& stored) {
        stored.write(folder / "bad");
        return message_of<FileError>([&] { load_model<float>(folder / "bad"); });
    };
    for (const auto& [key, value] : sound.metadata) {
        if (key == "lockstep.loss") continue;  // files from before there was another than cross-entropy
        StoredArrays bad = sound;
        bad.metadata.erase(key);
        EXPECT_TRUE(contains(refusal(bad), key)) << key;
    }
    const std::vector<std::pair<std::string, std::vector<std::string>>> nonsense = {
        {"lockstep.model", {"", "frob 3", "linear 4", "linear 5,"}},
        {"lockstep.epsilon", {"", "0", "-1", "nan", "1e-5x", "1 2"}},
        {"lockstep.classes", {"", "0", "-5", "4", "5.5", "99999999999"}},
        {"lockstep.input", {"", "bytes", "unit"}},
        {"lockstep.input_shape",
         {"", "6 6", "6 6 1 1", "6 6 0", "6 -6 1", "6 6 1 ", "9 9 1", "6 6 99999999999"}},
        {"lockstep.input_offset", {"", "nan", "inf", "1 2", "x"}},
        {"lockstep.input_divisor", {"", "0", "-1", "nan"}}};
    for (const auto& [key, values] : nonsense)
        for (const std::string& value : values) {
            StoredArrays bad = sound;
            bad.metadata[key] = value;
            EXPECT_TRUE(contains(refusal(bad), (folder / "bad").string())) << key << " = " << value;
        }
}

}  // namespace
}  // namespace lockstep::test
