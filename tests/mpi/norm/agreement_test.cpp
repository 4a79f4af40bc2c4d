// Layers that are not the same on every rank: an error on every rank, at construction, that names the option
// and both sides.
#include <lockstep/base/error.hpp>
#include <lockstep/comm/agreement.hpp>
#include <lockstep/norm/precise_statistics.hpp>
#include <lockstep/norm/sync_batch_norm.hpp>

#include "support/mpi_values.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

namespace lockstep {
namespace {

using testing::contains;
using testing::error_of;
using testing::promptly;
using testing::Watch;
using testing::world_rank;
using testing::world_size;

struct Made {
    Index channels = 6;
    BatchNormOptions options{.name = "bn"};
    ReplicaPlacement placement{.replicas = 4 * world_size()};
};

/// One way in which a layer of one rank may be another than that of the others.
struct Change {
    const char* option;
    const char* usual;
    const char* other;
    std::function<void(Made&)> apply;
};

std::vector<Change> changes() {
    return {
        {"channels", "6", "7", [](Made& made) { made.channels = 7; }},
        {"channels", "6", "4000", [](Made& made) { made.channels = 4000; }},
        {"name", "bn", "other", [](Made& made) { made.options.name = "other"; }},
        {"name", "bn", "(none)", [](Made& made) { made.options.name = ""; }},
        {"momentum", "0.1", "0.9", [](Made& made) { made.options.momentum = 0.9; }},
        {"momentum", "0.1", "cumulative", [](Made& made) { made.options.momentum = std::nullopt; }},
        {"epsilon", "1e-05", "0.1", [](Made& made) { made.options.epsilon = 0.1; }},
        {"activation", "none", "relu", [](Made& made) { made.options.activation = Activation::relu; }},
        {"affine", "yes", "no", [](Made& made) { made.options.affine = false; }},
        {"track_running_averages", "yes", "no",
         [](Made& made) { made.options.track_running_averages = false; }},
        {"running_update", "automatic", "deferred",
         [](Made& made) { made.options.running_update = RunningUpdate::deferred; }},
        {"frozen", "no", "yes", [](Made& made) { made.options.frozen = true; }},
        {"group", "", "2", [](Made& made) { made.placement.group = 2; }},
        {"replicas", "", "", [](Made& made) { made.placement.replicas = 8 * world_size(); }},
        {"epsilon", "", "epsilon must be a positive number", [](Made& made) { made.options.epsilon = -1; }},
        {"group", "", "group", [](Made& made) { made.placement.group = 3 * world_size() - 1; }},
    };
}

void expect_named(const std::string& text, const Change& change, int odd, double seconds) {
    EXPECT_LT(seconds, promptly());
    EXPECT_TRUE(contains(text, "batch norm")) << text;
    for (const char* part : {change.option, change.usual, change.other})
        EXPECT_TRUE(contains(text, part)) << change.option << ": " << text;
    EXPECT_TRUE(contains(text, "on rank " + std::to_string(odd))) << change.option << ": " << text;
}

TEST(BatchNormAgreement, EveryOptionAndPlacementIsComparedOnConstruction) {
    if (world_size() == 1) return;
    const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 30});
    const int odd = world.size() - 1;
    for (const Change& change : changes()) {
        Made made;
        if (world.rank() == odd) change.apply(made);
        const Watch watch;
        const std::string text = error_of<CommunicationError>(
            [&] { SyncBatchNorm<float>(made.channels, world, made.options, made.placement); });
        expect_named(text, change, odd, watch.seconds());
    }
    const std::string text = error_of<CommunicationError>([&] {
        if (world.rank() == odd)
            SyncBatchNorm<double>(6, world);
        else
            SyncBatchNorm<float>(6, world);
    });
    EXPECT_TRUE(contains(text, "float on rank 0")) << text;
    EXPECT_TRUE(contains(text, "double on rank " + std::to_string(odd))) << text;
    // Nothing is broken by it: all ranks have taken part.
    const SyncBatchNorm<float> layer(6, world);
}

TEST(BatchNormAgreement, EveryOptionAndPlacementIsComparedWhenTheCommunicatorChanges) {
    if (world_size() == 1) return;
    const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 30});
    const int odd = world.size() - 1;
    for (const Change& change : changes()) {
        Made made;
        if (world.rank() == odd) change.apply(made);
        // A local layer is refused on construction already; and one that lacks a name on one rank alone would
        // leave the ranks with different counts of layers without names.
        if (std::string(change.other) == "(none)" || contains(change.other, "must be")) continue;
        SyncBatchNorm<float> layer(made.channels, Communicator::self(), made.options);
        const Watch watch;
        const std::string text =
            error_of<CommunicationError>([&] { layer.change_communicator(world, made.placement); });
        expect_named(text, change, odd, watch.seconds());
    }
}

TEST(BatchNormAgreement, FreezingIsCompared) {
    if (world_size() == 1) return;
    const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 30});
    SyncBatchNorm<float> layer(2, world, {.name = "conv1.bn"});
    const std::string text = error_of<CommunicationError>([&] { layer.set_frozen(world.rank() == 1); });
    for (const char* part : {"conv1.bn", "frozen", "no on rank 0", "yes on rank 1"})
        EXPECT_TRUE(contains(text, part)) << text;
    EXPECT_FALSE(layer.options().frozen) << "an error changes nothing";
    layer.set_frozen(true);
    EXPECT_TRUE(layer.options().frozen);
}

TEST(BatchNormAgreement, ChangesOfEpsilonAndMomentumAreCompared) {
    if (world_size() == 1) return;
    const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 30});
    SyncBatchNorm<float> layer(2, world, {.epsilon = 0.5, .momentum = 0.25, .name = "conv1.bn"});
    const bool odd = world.rank() == 1;
    const auto expect_parts = [](const std::string& text, std::initializer_list<const char*> parts) {
        for (const char* part : parts) EXPECT_TRUE(contains(text, part)) << text;
    };
    expect_parts(error_of<CommunicationError>([&] { layer.set_epsilon(odd ? 0.125 : 0.0625); }),
                 {"conv1.bn", "epsilon", "0.0625 on rank 0", "0.125 on rank 1"});
    expect_parts(
        error_of<CommunicationError>([&] { layer.set_momentum(odd ? std::nullopt : std::optional(0.5)); }),
        {"conv1.bn", "momentum", "0.5 on rank 0", "cumulative on rank 1"});
    // What one rank alone may not do is known to all.
    expect_parts(error_of<CommunicationError>([&] { layer.set_epsilon(odd ? -1 : 0.5); }),
                 {"conv1.bn", "epsilon must be a positive number", "rank 1"});
    EXPECT_EQ(layer.options().epsilon, 0.5) << "an error changes nothing";
    EXPECT_EQ(layer.options().momentum, 0.25);
    EXPECT_EQ(layer.averages().momentum(), 0.25);
}

// --- layers of one rank each, whose averages are pooled -------------------------------------------------

/// Calls `pool` with two layers without names, of which one rank takes the second first.
template <class Pool>
void expect_order_matters(Pool pool) {
    if (world_size() == 1) return;
    const std::vector<double> x{1, 3};
    std::vector<double> z(2);
    BatchMoments saved;
    for (const bool mixed_up : {false, true}) {
        const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 30});
        SyncBatchNorm<double> one(1, Communicator::self()), hundred(1, Communicator::self());
        one.forward(x, z, {2}, saved);
        hundred.forward(x, z, {2}, saved);
        one.running_mean()[0] = 1;
        hundred.running_mean()[0] = 100;
        const bool swap = mixed_up && world.rank() == 0;
        const Watch watch;
        const std::string text = error_of<CommunicationError>([&] {
            pool(swap ? hundred : one, world);
            pool(swap ? one : hundred, world);
        });
        EXPECT_LT(watch.seconds(), promptly());
        if (!mixed_up) {
            EXPECT_EQ(text, "");
            continue;
        }
        EXPECT_TRUE(contains(text, "'" + one.name() + "'")) << text;
        EXPECT_TRUE(contains(text, "'" + hundred.name() + "'")) << text;
        MPI_Barrier(MPI_COMM_WORLD);
    }
}

TEST(BatchNormAgreement, RunningAveragesOfLayersInAnotherOrderAreNotMixed) {
    expect_order_matters(
        [](SyncBatchNorm<double>& layer, const Communicator& world) { layer.averages().pool(world); });
}

TEST(BatchNormAgreement, PreciseStatisticsOfLayersInAnotherOrderAreNotMixed) {
    expect_order_matters([](SyncBatchNorm<double>& layer, const Communicator& world) {
        PreciseStatistics<double> precise(layer);
        precise.add();
        precise.finish(world);
    });
}

TEST(BatchNormAgreement, OneMorePoolingOnOneRankIsNamed) {
    if (world_size() == 1) return;
    const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 30});
    SyncBatchNorm<double> layer(1, Communicator::self(), {.name = "bn"});
    const std::string text = error_of<CommunicationError>([&] {
        layer.averages().pool(world);
        if (world.rank() == 0)
            layer.averages().pool(world);
        else
            check_agreement(world, "the next epoch", {});
    });
    EXPECT_TRUE(contains(text, "'bn' running averages, call 2")) << text;
    EXPECT_TRUE(contains(text, "the next epoch")) << text;
    MPI_Barrier(MPI_COMM_WORLD);
}

TEST(BatchNormAgreement, LayersWithACommunicatorEachAreToldApartInTheTimeout) {
    if (world_size() == 1) return;
    const CommunicatorOptions patience{.timeout_seconds = 0.5};
    SyncBatchNorm<float> a(1, Communicator(MPI_COMM_WORLD, patience)),
        b(1, Communicator(MPI_COMM_WORLD, patience));
    EXPECT_NE(a.name(), b.name());
    const std::vector<float> x{1, 2};
    std::vector<float> z(2);
    BatchMoments saved;
    SyncBatchNorm<float>& called = world_rank() == 0 ? a : b;
    const std::string text = error_of<CommunicationError>([&] { called.forward(x, z, {2}, saved); });
    EXPECT_TRUE(contains(text, "'" + called.name() + "' forward")) << text;
    MPI_Barrier(MPI_COMM_WORLD);
}

}  // namespace
}  // namespace lockstep
