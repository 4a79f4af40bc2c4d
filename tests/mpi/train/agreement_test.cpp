// Ranks whose programs ask for different trainings: an error on every rank that names what differs and both
// sides, whoever calls the library; never different replicas.
#include <support/mpi_values.hpp>
#include <support/training.hpp>

#include <lockstep/base/error.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <string>
#include <vector>

namespace lockstep::test {
namespace {

using lockstep::testing::contains;
using lockstep::testing::error_of;
using lockstep::testing::promptly;
using lockstep::testing::Watch;

struct Change {
    std::string name;
    std::function<void(TrainerOptions&)> apply;
};

TrainerOptions usual(int ranks) {
    TrainerOptions options = small_options(4 * ranks, "group:4");
    options.schedule = {.kind = ScheduleKind::step, .learning_rate = 0.1, .epochs = 6, .warmup_epochs = 1};
    return options;
}

/// One for each member of the options.
std::vector<Change> changes() {
    using O = TrainerOptions;
    return {
        {"model", [](O& o) { o.model = "batchnorm, linear 5"; }},
        {"input", [](O& o) { o.input = InputKind::raw; }},
        {"loss", [](O& o) { o.loss = cross_entropy(0.1); }},
        {"clip norm", [](O& o) { o.clip_norm = 1; }},
        {"augmentation crop", [](O& o) { o.augmentation.crop_padding = 1; }},
        {"augmentation flip", [](O& o) { o.augmentation.horizontal_flip = true; }},
        {"batch norm statistics", [](O& o) { o.batch_norm = BatchNormMode::parse("sync"); }},
        {"batch norm statistics", [](O& o) { o.batch_norm = BatchNormMode::parse("group:2"); }},
        {"batch norm momentum", [](O& o) { o.running_momentum = 0.2; }},
        {"batch norm momentum", [](O& o) { o.running_momentum = std::nullopt; }},
        {"batch norm epsilon", [](O& o) { o.epsilon = 1e-3; }},
        {"precise batches", [](O& o) { o.precise_batches = 2; }},
        {"replicas", [](O& o) { o.replicas = 2 * *o.replicas; }},
        {"batch size", [](O& o) { o.batch_size = 3; }},
        {"optimizer", [](O& o) { o.optimizer.kind = OptimizerKind::adamw; }},
        {"momentum", [](O& o) { o.optimizer.momentum = 0.8; }},
        {"nesterov", [](O& o) { o.optimizer.nesterov = true; }},
        {"weight decay", [](O& o) { o.optimizer.weight_decay = 0.02; }},
        {"what decays", [](O& o) { o.optimizer.decay = WeightDecayScope::weights; }},
        {"learning rate", [](O& o) { o.schedule.learning_rate = 0.2; }},
        {"schedule", [](O& o) { o.schedule.kind = ScheduleKind::cosine; }},
        {"epochs", [](O& o) { o.schedule.epochs = 7; }},
        {"warm-up epochs", [](O& o) { o.schedule.warmup_epochs = 2; }},
        {"warm-up start factor", [](O& o) { o.schedule.warmup_start_factor = 0.5; }},
        {"step epochs",
         [](O& o) {
             o.schedule.step_epochs = std::vector<double>{2, 4};
         }},
        {"step factor", [](O& o) { o.schedule.step_factor = 0.5; }},
        {"seed", [](O& o) { o.seed = 6; }},
        {"shuffle", [](O& o) { o.shuffle = false; }},
        {"reduction", [](O& o) { o.reduction = Reduction::fast; }},
        {"gradient path", [](O& o) { o.gradient_path = GradientPath::messages; }},
    };
}

TEST(TrainerAgreement, EveryOptionIsComparedOnEveryRank) {
    const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 30});
    if (world.size() == 1) return;
    const Images data = noisy_columns(200);
    const int odd = world.size() - 1;
    for (const Change& change : changes()) {
        TrainerOptions options = usual(world.size());
        if (world.rank() == odd) change.apply(options);
        const Watch watch;
        const std::string text = error_of<CommunicationError>([&] { Trainer<float>(options, data, world); });
        EXPECT_LT(watch.seconds(), promptly());
        EXPECT_TRUE(contains(text, change.name)) << change.name << ": " << text;
        EXPECT_TRUE(contains(text, " on rank " + std::to_string(odd))) << change.name << ": " << text;
        EXPECT_TRUE(contains(text, " on rank 0")) << change.name << ": " << text;
    }
    // Nothing is broken by it: all ranks have taken part.
    Trainer<float>(usual(world.size()), data, world).run_epoch();
}

TEST(TrainerAgreement, AnOptionThatNoRankCanTakeIsTheFaultOfTheRankThatHasIt) {
    const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 30});
    if (world.size() == 1) return;
    const Images data = noisy_columns(200);
    const int odd = world.size() - 1;
    for (const Change& change : std::vector<Change>{
             {"at least 1", [](TrainerOptions& o) { o.batch_size = 0; }},
             {"layers are separated by commas", [](TrainerOptions& o) { o.model = "linear 5, , relu"; }}}) {
        TrainerOptions options = usual(world.size());
        if (world.rank() == odd) change.apply(options);
        const std::string text = error_of<CommunicationError>([&] { Trainer<float>(options, data, world); });
        EXPECT_TRUE(contains(text, "training failed on rank " + std::to_string(odd) + ": ")) << text;
        EXPECT_TRUE(contains(text, change.name)) << text;
    }
    Trainer<float>(usual(world.size()), data, world).run_epoch();
}

TEST(TrainerAgreement, AdamsSettingsAreComparedWhereItIsUsed) {
    const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 30});
    if (world.size() == 1) return;
    const Images data = noisy_columns(200);
    for (const Change& change : std::vector<Change>{
             {"beta1", [](TrainerOptions& o) { o.optimizer.beta1 = 0.8; }},
             {"beta2", [](TrainerOptions& o) { o.optimizer.beta2 = 0.9; }},
             {"optimizer epsilon", [](TrainerOptions& o) { o.optimizer.epsilon = 1e-7; }},
         }) {
        TrainerOptions options = usual(world.size());
        options.optimizer.kind = OptimizerKind::adamw;
        if (world.rank() == 0) change.apply(options);
        const std::string text = error_of<CommunicationError>([&] { Trainer<float>(options, data, world); });
        EXPECT_TRUE(contains(text, change.name)) << text;
    }
}

TEST(TrainerAgreement, TheDataAndTheirTypeAreCompared) {
    const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 30});
    if (world.size() == 1) return;
    const bool odd = world.rank() == world.size() - 1;
    const TrainerOptions options = usual(world.size());
    const Images data = noisy_columns(200);
    Images pixel = data, label = data, shorter = data;
    pixel.pixels.back() ^= 1;
    label.labels[0] = static_cast<std::uint8_t>((label.labels[0] + 1) % 5);
    shorter.labels.resize(199);
    shorter.pixels.resize(static_cast<std::size_t>(199 * data.shape.size()));
    for (const Images* other : {&pixel, &label, &shorter}) {
        const std::string text =
            error_of<CommunicationError>([&] { Trainer<float>(options, odd ? *other : data, world); });
        EXPECT_TRUE(contains(text, "training data")) << text;
    }
    const std::string text = error_of<CommunicationError>([&] {
        if (odd)
            Trainer<double>(options, data, world);
        else
            Trainer<float>(options, data, world);
    });
    EXPECT_TRUE(contains(text, "double on rank")) << text;
}

TEST(TrainerAgreement, SpellingIsNoDisagreement) {
    const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 30});
    TrainerOptions options = usual(world.size());
    if (world.rank() == 0)
        options.model = "  batchnorm,linear   24,relu,\n batchnorm, dropout 0.2, linear 5 ";
    EXPECT_NO_THROW(Trainer<float>(options, noisy_columns(200), world));
}

TEST(TrainerAgreement, WhatACallerSetsOnOneRankAloneIsNamedAtTheNextEpoch) {
    const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 30});
    if (world.size() == 1) return;
    const Images data = noisy_columns(200);
    const std::vector<std::pair<std::string, std::function<void(Trainer<float>&)>>> deeds{
        {"parameters and running averages", [](auto& trainer) { trainer.network().parameters()[3] += 1; }},
        {"parameters and running averages", [](auto& trainer) { trainer.network().averages()[0] += 1; }},
        {"epoch", [](auto& trainer) { trainer.set_epoch(1); }},
        {"optimizer's steps", [](auto& trainer) { trainer.optimizer().set_step_count(9); }},
        {"optimizer's state", [](auto& trainer) { trainer.optimizer().state()[0].values[5] += 1; }}};
    for (const auto& [name, deed] : deeds) {
        Trainer<float> trainer(usual(world.size()), data, world);
        if (world.rank() == world.size() - 1) deed(trainer);
        const std::string text = error_of<CommunicationError>([&] { trainer.run_epoch(); });
        EXPECT_TRUE(contains(text, name)) << text;
    }
}

TEST(TrainerAgreement, EqualSettingsAreEqualRunsAndOthersAreNot) {
    // What names the run: equal on all ranks, and another for each change.
    const Images data = noisy_columns(200);
    std::set<std::string> seen{
        serialize(settings_of(resolved(usual(1), data), outline(data), 1, sizeof(float)))};
    for (const Change& change : changes()) {
        if (change.name == "gradient path" || change.name == "layers are separated by commas")
            continue;  // changes no bit; is no model
        TrainerOptions options = usual(1);
        change.apply(options);
        EXPECT_TRUE(
            seen.insert(serialize(settings_of(resolved(options, data), outline(data), 1, sizeof(float))))
                .second)
            << change.name;
    }
}

}  // namespace
}  // namespace lockstep::test
