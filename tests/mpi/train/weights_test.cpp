// Weights from files: what is taken, what is refused, and that a refusal changes nothing.
#include "stored_arrays.hpp"

#include <support/mpi_values.hpp>
#include <support/scratch_folder.hpp>
#include <support/training.hpp>

#include <lockstep/base/error.hpp>
#include <lockstep/train/checkpoint.hpp>
#include <lockstep/train/weights.hpp>

#include <gtest/gtest.h>

#include <limits>
#include <memory>

namespace lockstep::test {
namespace {

using lockstep::testing::contains;

constexpr const char* text = "conv 3 2x2, batchnorm, relu, flatten, linear 7, batchnorm, linear 4";

/// On 5 × 5 images, with parameters and averages that are nobody's initial values.
template <class Scalar = float>
std::unique_ptr<Network<Scalar>> make_network(std::uint64_t seed, const std::string& model = text) {
    auto network = std::make_unique<Network<Scalar>>(
        parse_model(model), Shape{5, 5, 1},
        BatchNormSetup{.communicator = Communicator::self(), .placement = {}});
    network->initialize(seed);
    RandomStream random(seed, RandomPurpose::test, 1);
    for (auto* const layer : network->batch_norms()) {
        for (Scalar& value : layer->norm().gamma()) value = static_cast<Scalar>(random.normal());
        for (Scalar& value : layer->norm().beta()) value = static_cast<Scalar>(random.normal());
        for (Scalar& value : layer->norm().running_mean()) value = static_cast<Scalar>(random.normal());
        for (Scalar& value : layer->norm().running_var()) value = static_cast<Scalar>(random.uniform());
        layer->norm().averages().set_batches(static_cast<std::int64_t>(10 + random.below(90)));
    }
    return network;
}

class Weights : public ::testing::Test {
  protected:
    Weights() : source_(make_network(1)) {
        save_weights(*source_, folder_ / "sound");
        stored_ = StoredArrays::read(folder_ / "sound");
    }

    SafetensorsFile file(const StoredArrays& stored) {
        stored.write(folder_ / "changed");
        return SafetensorsFile::read(folder_ / "changed");
    }
    /// Loads it into another network, which must refuse it and stay what it was; returns the error's text.
    std::string refusal(const StoredArrays& stored, const LoadOptions& options = {}) {
        const auto network = make_network(2);
        const auto before = fingerprint(*network);
        const std::string why = message_of<FileError>([&] { load_weights(file(stored), *network, options); });
        EXPECT_NE(why, "") << "nothing was refused";
        EXPECT_TRUE(contains(why, (folder_ / "changed").string())) << why;
        EXPECT_EQ(fingerprint(*network), before);
        return why;
    }

    ScratchFolder folder_;
    std::unique_ptr<Network<float>> source_;
    StoredArrays stored_;
};

/// "[1, 0]" for position 2 of a 3 × 2 array, spelled out from the last axis on.
std::string place(Index position, const std::vector<Index>& shape) {
    std::string list;
    for (std::size_t axis = shape.size(); axis-- > 0; position /= shape[axis])
        list = std::to_string(position % shape[axis]) + (list.empty() ? "" : ", ") + list;
    return "[" + list + "]";
}

TEST_F(Weights, AValueThatIsNotFiniteIsRefusedWhereverItIs) {
    RandomStream random(7, RandomPurpose::test, 0);
    for (const auto& [name, array] : stored_.arrays) {
        if (array.type == DataType::int64) continue;
        for (const double value : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
            const auto at = static_cast<std::size_t>(random.below(array.values.size()));
            StoredArrays bad = stored_;
            bad.arrays[name].values[at] = value;
            if (at + 1 < array.values.size()) bad.arrays[name].values.back() = value;  // the first is named
            const std::string why = refusal(bad);
            EXPECT_TRUE(contains(why, "'" + name + "'")) << why;
            EXPECT_TRUE(
                contains(why, shortest_text(value) + " at " + place(static_cast<Index>(at), array.shape)))
                << why;
            bad.write(folder_ / "partial");
            EXPECT_TRUE(contains(refusal(bad, {.partial = true}), name));
        }
    }
}

TEST_F(Weights, ANegativeRunningVarianceIsRefusedAndZeroIsNot) {
    StoredArrays changed = stored_;
    changed.arrays["1.running_var"].values[2] = -1e-30;
    const std::string why = refusal(changed);
    for (const char* const part : {"1.running_var", "-1", "[2]", "negative"})
        EXPECT_TRUE(contains(why, part)) << why;
    changed.arrays["1.running_var"].values[2] = 0;
    changed.arrays["1.running_mean"].values[2] = -5;
    changed.arrays["1.weight"].values[1] = -5;
    EXPECT_NO_THROW(load_weights(file(changed), *source_));
    EXPECT_EQ(source_->batch_norms()[0]->norm().running_mean()[2], -5);
}

TEST_F(Weights, AFiniteValueThatSinglePrecisionDoesNotHoldIsRefusedByFloatAlone) {
    StoredArrays changed = stored_;
    StoredArray& array = changed.arrays["4.weight"];
    array.type = DataType::float64;
    array.values[50] = -1e39;
    const std::string why = refusal(changed);
    for (const std::string& part : {std::string("4.weight"), std::string("-1e+39"), place(50, array.shape),
                                    std::string("single precision")})
        EXPECT_TRUE(contains(why, part)) << why;
    const auto wide = make_network<double>(2);
    load_weights(file(changed), *wide);
    EXPECT_EQ(std::ranges::min(wide->parameters()), -1e39);
}

TEST_F(Weights, ANegativeCounterIsRefused) {
    StoredArrays changed = stored_;
    changed.arrays["1.num_batches_tracked"].integers[0] = -3;
    const std::string why = refusal(changed);
    EXPECT_TRUE(contains(why, "1.num_batches_tracked") && contains(why, "-3")) << why;
}

TEST_F(Weights, ACounterMayBeMissingOrAListOfOne) {
    StoredArrays changed = stored_;
    changed.arrays.erase("1.num_batches_tracked");
    changed.arrays["5.num_batches_tracked"].shape = {1};
    const auto network = make_network(2);
    const LoadReport report = load_weights(file(changed), *network);
    EXPECT_EQ(network->batch_norms()[0]->norm().averages().batches(), 0);
    EXPECT_EQ(network->batch_norms()[1]->norm().averages().batches(),
              stored_.arrays["5.num_batches_tracked"].integers[0]);
    EXPECT_EQ(report.assumed, std::vector<std::string>{"1.num_batches_tracked"});
    changed.arrays["5.num_batches_tracked"] = {DataType::int64, {2}, {}, {4, 4}};
    EXPECT_TRUE(contains(refusal(changed), "5.num_batches_tracked"));
}

TEST_F(Weights, ABatchNormThatLearnedNothingHasOneAndZero) {
    StoredArrays changed = stored_;
    changed.arrays.erase("5.weight");
    EXPECT_TRUE(contains(refusal(changed), "5.weight"));  // one of the two alone is a fault
    changed.arrays.erase("5.bias");
    const auto network = make_network(2);
    const LoadReport report = load_weights(file(changed), *network);
    const SyncBatchNorm<float>& norm = network->batch_norms()[1]->norm();
    for (std::size_t c = 0; c < 7; ++c) {
        EXPECT_EQ(norm.gamma()[c], 1);
        EXPECT_EQ(norm.beta()[c], 0);
        EXPECT_EQ(norm.running_mean()[c], source_->batch_norms()[1]->norm().running_mean()[c]);
    }
    EXPECT_EQ(report.assumed, (std::vector<std::string>{"5.weight", "5.bias"}));
    changed.arrays.erase("5.running_var");  // a batch norm that is not there at all is another model's
    EXPECT_TRUE(contains(refusal(changed), "5.weight"));
}

TEST_F(Weights, TheNamesOfAWrapperAreRecognizedIfAllHaveThem) {
    for (const std::string prefix : {"module.", "_orig_mod.", "module._orig_mod."}) {
        const auto network = make_network(2);
        const LoadReport report = load_weights(file(stored_.with_prefix(prefix)), *network);
        EXPECT_EQ(report.prefix, prefix);
        EXPECT_EQ(fingerprint(*network), fingerprint(*source_));
    }
    EXPECT_EQ(load_weights(file(stored_), *source_).prefix, "");
    StoredArrays mixed = stored_.with_prefix("module.");
    mixed.arrays["0.weight"] = mixed.arrays["module.0.weight"];
    mixed.arrays.erase("module.0.weight");
    EXPECT_TRUE(contains(refusal(mixed), "module."));
    StoredArrays bad = stored_.with_prefix("module.");
    bad.arrays["module.1.bias"].values[0] = std::nan("");
    EXPECT_TRUE(contains(refusal(bad), "module.1.bias"));
}

TEST_F(Weights, AnotherNumberOfClassesIsRefusedNamingBothShapesAndCanBeLeftOut) {
    const auto network =
        make_network(2, "conv 3 2x2, batchnorm, relu, flatten, linear 7, batchnorm, linear 9");
    const auto before =
        make_network(2, "conv 3 2x2, batchnorm, relu, flatten, linear 7, batchnorm, linear 9");
    const std::string why = message_of<FileError>([&] { load_weights(file(stored_), *network); });
    for (const char* const part : {"6.weight", "[4, 7]", "[9, 7]"}) EXPECT_TRUE(contains(why, part)) << why;
    EXPECT_EQ(fingerprint(*network), fingerprint(*before));

    const LoadReport report = load_weights(file(stored_), *network, {.partial = true});
    ASSERT_EQ(report.other_shapes.size(), 2U);
    EXPECT_EQ(report.other_shapes[0].name, "6.weight");
    EXPECT_EQ(report.other_shapes[0].in_file, (std::vector<Index>{4, 7}));
    EXPECT_EQ(report.other_shapes[0].in_model, (std::vector<Index>{9, 7}));
    EXPECT_TRUE(report.missing.empty() && report.unknown.empty());
    EXPECT_EQ(report.taken, network->layout().parameters().size() + network->layout().averages().size() - 2);

    save_weights(*network, folder_ / "partial");
    save_weights(*before, folder_ / "before");
    const StoredArrays now = StoredArrays::read(folder_ / "partial");
    const StoredArrays initial = StoredArrays::read(folder_ / "before");
    for (const auto& [name, array] : now.arrays) {
        const StoredArray& expected = (name.starts_with("6.") ? initial : stored_).arrays.at(name);
        EXPECT_EQ(array.values, expected.values) << name;
        EXPECT_EQ(array.integers, expected.integers) << name;
    }
}

TEST_F(Weights, WhatIsMissingOrStrangeIsListedByAPartialLoad) {
    StoredArrays changed = stored_;
    changed.arrays["head.weight"] = changed.arrays["6.weight"];
    changed.arrays["head.weight"].values[0] = std::nan("");  // not taken, so nobody minds
    for (const char* const name : {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"})
        changed.arrays.erase(std::string("5.") + name);
    EXPECT_TRUE(contains(refusal(changed), "head.weight"));
    const auto network = make_network(2);
    const auto before = network->batch_norms()[1]->norm().averages().batches();
    const LoadReport report = load_weights(file(changed), *network, {.partial = true});
    EXPECT_EQ(report.unknown, std::vector<std::string>{"head.weight"});
    EXPECT_EQ(report.missing,
              (std::vector<std::string>{"5.weight", "5.bias", "5.running_mean", "5.running_var"}));
    EXPECT_TRUE(report.assumed.empty());
    EXPECT_EQ(network->batch_norms()[1]->norm().averages().batches(), before);
}

TEST_F(Weights, APartialLoadOfNothingIsAnError) {
    EXPECT_TRUE(contains(refusal(stored_.with_prefix("encoder."), {.partial = true}), "nothing"));
    EXPECT_TRUE(contains(refusal({}, {.partial = true}), "nothing"));
}

TEST_F(Weights, BatchesWithoutAVarianceComeBackAndAreToldApart) {
    const auto all = fingerprint(*source_);
    SyncBatchNorm<float>& norm = source_->batch_norms()[1]->norm();
    const std::int64_t batches = norm.averages().batches();
    norm.averages().set_batches(batches, batches - 2);
    EXPECT_NE(fingerprint(*source_), all);
    save_weights(*source_, folder_ / "some");
    const auto network = make_network(2);
    load_weights(SafetensorsFile::read(folder_ / "some"), *network);
    EXPECT_EQ(network->batch_norms()[1]->norm().averages().batches(), batches);
    EXPECT_EQ(network->batch_norms()[1]->norm().averages().batches_with_variance(), batches - 2);
    EXPECT_EQ(network->batch_norms()[0]->norm().averages().batches_with_variance(),
              network->batch_norms()[0]->norm().averages().batches());
    EXPECT_EQ(fingerprint(*network), fingerprint(*source_));

    // No tensor more than PyTorch knows, and a number that makes no sense is refused.
    StoredArrays some = StoredArrays::read(folder_ / "some");
    EXPECT_EQ(some.arrays.size(), stored_.arrays.size());
    ASSERT_EQ(some.metadata.size(), 1U);
    for (const std::string& value :
         {std::string("-1"), std::to_string(batches + 1), std::string("x"), std::string()}) {
        some.metadata.begin()->second = value;
        EXPECT_TRUE(contains(refusal(some), some.metadata.begin()->first));
    }
}

TEST(Checkpoints, AnOptimizerStateThatNoTrainingHasIsRefused) {
    const Images data = noisy_columns(101);
    const ScratchFolder folder;
    for (const OptimizerKind kind : {OptimizerKind::sgd, OptimizerKind::adamw}) {
        TrainerOptions options = small_options(4, "sync");
        options.optimizer.kind = kind;
        Trainer<float> trainer(options, data, Communicator::self());
        trainer.run_epoch();
        save_checkpoint(trainer, folder / "sound");
        trainer.run_epoch();
        save_checkpoint(trainer, folder / "before");
        const auto expect_refusal = [&](const std::string& name, double value) {
            StoredArrays bad = StoredArrays::read(folder / "sound");
            bad.arrays.at(name).values[5] = value;
            bad.write(folder / "bad");
            const std::string why = message_of<FileError>([&] { load_checkpoint(trainer, folder / "bad"); });
            EXPECT_TRUE(contains(why, name) && contains(why, shortest_text(value)) && contains(why, "[5]"))
                << why;
            save_checkpoint(trainer, folder / "after");
            EXPECT_EQ(read_text(folder / "after"), read_text(folder / "before")) << "something has changed";
        };
        for (const auto& state : trainer.optimizer().state())
            for (const double value : {std::nan(""), HUGE_VAL})
                expect_refusal("optimizer." + std::string(state.name), value);
        if (kind == OptimizerKind::adamw) expect_refusal("optimizer.exp_avg_sq", -1e-20f);
        expect_refusal("0.running_var", -1);  // weights after an optimizer that is sound
        EXPECT_NO_THROW(load_checkpoint(trainer, folder / "sound"));
        EXPECT_EQ(trainer.epoch(), 1);
    }
}

}  // namespace
}  // namespace lockstep::test
