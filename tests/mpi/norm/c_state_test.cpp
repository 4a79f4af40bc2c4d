// The C interface beside the passes: arrays, settings, communicators and statistics are those of the C++ layer.
#include "support/both_layers.hpp"

#include <lockstep/norm/precise_statistics.hpp>

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace lockstep {
namespace {

using testing::BothLayers;
using testing::c_options;
using testing::c_self;
using testing::CCommunicator;
using testing::contains;
using testing::copy_of;
using testing::CPreciseStatistics;
using testing::GlobalBatch;
using testing::made;
using testing::must;
using testing::uneven_samples;
using testing::world_rank;
using testing::world_size;

template <class Scalar>
class CState : public ::testing::Test {};
using Scalars = ::testing::Types<float, double>;
TYPED_TEST_SUITE(CState, Scalars, );

TYPED_TEST(CState, IsDescribed) {
    BothLayers<TypeParam> both(7, {.name = "closure"}, {.replicas = 3 * world_size(), .group = 1});
    std::int32_t type = 0, replicas = 0, groups = 0;
    std::int64_t channels = 0;
    const char* name = nullptr;
    must(lockstep_batch_norm_describe(both.c(), &type, &channels, &replicas, &groups, &name));
    EXPECT_EQ(type, testing::c_type<TypeParam>);
    EXPECT_EQ(channels, 7);
    EXPECT_EQ(replicas, 3);
    EXPECT_EQ(groups, 3);
    EXPECT_STREQ(name, "closure");
    must(lockstep_batch_norm_describe(both.c(), nullptr, nullptr, nullptr, nullptr, nullptr));
}

TYPED_TEST(CState, LivesInTheCallersMemoryAfterBind) {
    const GlobalBatch<TypeParam> batch(3, uneven_samples());
    BothLayers<TypeParam> both(3, {});
    both.set_parameters(batch);
    both.expect_same_forward(batch);
    std::vector<TypeParam> memory(12);
    must(lockstep_batch_norm_bind(both.c(), memory.data(), memory.data() + 3, memory.data() + 6,
                                  memory.data() + 9));
    both.expect_same_state();
    for (const int which : {LOCKSTEP_GAMMA, LOCKSTEP_BETA, LOCKSTEP_RUNNING_MEAN, LOCKSTEP_RUNNING_VAR})
        EXPECT_EQ(both.values(which).data(), memory.data() + 3 * which);
    // What the caller writes there is what counts.
    memory[0] = both.norm().gamma()[0] = TypeParam(0.25);
    both.expect_same_forward(batch);
    both.expect_same_inference(batch);
}

TYPED_TEST(CState, CountsBatchesAsTheLayerDoes) {
    BothLayers<TypeParam> both(1, {.momentum = std::nullopt});
    // A batch of one value has no variance.
    std::vector<Index> one_value(static_cast<std::size_t>(world_size()), 0);
    one_value.front() = 1;
    for (const auto& sizes : {uneven_samples(), one_value, uneven_samples()})
        both.expect_same_forward(GlobalBatch<TypeParam>(1, sizes));
    std::int64_t batches = 0, with_variance = 0;
    must(lockstep_batch_norm_batches_tracked(both.c(), &batches, nullptr));
    EXPECT_EQ(batches, 3);
    must(lockstep_batch_norm_set_batches_tracked(both.c(), 9, 7));
    must(lockstep_batch_norm_batches_tracked(both.c(), &batches, &with_variance));
    EXPECT_EQ(batches, 9);
    EXPECT_EQ(with_variance, 7);
    both.norm().averages().set_batches(9, 7);
    both.expect_same_forward(GlobalBatch<TypeParam>(1, uneven_samples()));
}

TYPED_TEST(CState, ChangesItsSettingsAsTheLayerDoes) {
    const GlobalBatch<TypeParam> batch(3, uneven_samples());
    BothLayers<TypeParam> both(3, {});
    const auto expect_same_step = [&] {
        both.expect_same_forward(batch);
        both.expect_same_backward(batch);
        both.expect_same_inference(batch);
    };
    both.norm().set_epsilon(0.5);
    must(lockstep_batch_norm_set_epsilon(both.c(), 0.5));
    expect_same_step();
    both.norm().set_momentum(0.75);
    must(lockstep_batch_norm_set_momentum(both.c(), 0.75, 0));
    expect_same_step();
    both.norm().set_momentum(std::nullopt);
    must(lockstep_batch_norm_set_momentum(both.c(), 0, 1));
    expect_same_step();
    both.norm().set_frozen(true);
    must(lockstep_batch_norm_set_frozen(both.c(), 1));
    expect_same_step();
    both.norm().set_frozen(false);
    must(lockstep_batch_norm_set_frozen(both.c(), 0));
    expect_same_step();
}

TYPED_TEST(CState, IsNormalizedOverAnotherCommunicatorAndBack) {
    const GlobalBatch<TypeParam> batch(2, uneven_samples());
    BothLayers<TypeParam> both(2, {.name = "bn"});
    const CCommunicator alone = c_self();
    both.norm().change_communicator(Communicator::self());
    must(lockstep_batch_norm_change_communicator(both.c(), alone.get(), 0, 0));
    both.expect_same_forward(batch);

    // Only averages that differ show that they are pooled.
    both.norm().averages().pool(both.world(), world_rank() + 1);
    must(lockstep_batch_norm_synchronize_running_averages(both.c(), both.c_world(), world_rank() + 1));
    both.expect_same_state();
    EXPECT_TRUE(testing::same_on_all_ranks(both.values(LOCKSTEP_RUNNING_MEAN)));

    both.norm().change_communicator(both.world(), {.replicas = 2 * world_size(), .group = 2});
    must(lockstep_batch_norm_change_communicator(both.c(), both.c_world(), 2 * world_size(), 2));
    std::int32_t replicas = 0, groups = 0;
    must(lockstep_batch_norm_describe(both.c(), nullptr, nullptr, &replicas, &groups, nullptr));
    EXPECT_EQ(replicas, 2);
    EXPECT_EQ(groups, 1);

    both.norm().change_communicator(both.world());
    must(lockstep_batch_norm_change_communicator(both.c(), both.c_world(), 0, 0));
    both.expect_same_forward(batch);
    both.expect_same_backward(batch);
}

TYPED_TEST(CState, HasTheStatisticsOfAPopulationAsTheLayerDoes) {
    BothLayers<TypeParam> both(2, {});
    PreciseStatistics<TypeParam> precise(both.norm());
    const auto c_precise = made<CPreciseStatistics>(
        [&](auto* place) { return lockstep_precise_statistics_create(both.c(), place); });
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        const GlobalBatch<TypeParam> batch(2, uneven_samples(), 1, ChannelOrder::last, 0.5, 2.0, seed);
        both.expect_same_forward(batch);
        precise.add();
        must(lockstep_precise_statistics_add(c_precise.get()));
    }
    EXPECT_EQ(lockstep_precise_statistics_finish(c_precise.get(), 4), LOCKSTEP_USAGE_ERROR);
    EXPECT_TRUE(contains(lockstep_message(), "at least 4")) << lockstep_message();
    both.expect_same_state();  // the error has changed nothing
    precise.finish(3);
    must(lockstep_precise_statistics_finish(c_precise.get(), 3));
    both.expect_same_state();
}

TYPED_TEST(CState, HasTheStatisticsOfAPopulationThatIsSpreadOverTheRanks) {
    BothLayers<TypeParam> both(2, {.name = "bn"});
    const CCommunicator alone = c_self();
    both.norm().change_communicator(Communicator::self());
    must(lockstep_batch_norm_change_communicator(both.c(), alone.get(), 0, 0));
    PreciseStatistics<TypeParam> precise(both.norm());
    const auto c_precise = made<CPreciseStatistics>(
        [&](auto* place) { return lockstep_precise_statistics_create(both.c(), place); });
    // Rank r has r + 1 batches.
    for (int i = 0; i <= world_rank(); ++i) {
        const auto seed = static_cast<std::uint64_t>(i + 1);
        both.expect_same_forward(
            GlobalBatch<TypeParam>(2, uneven_samples(), 3, ChannelOrder::last, 0.5, 2.0, seed));
        precise.add();
        must(lockstep_precise_statistics_add(c_precise.get()));
    }
    const int batches =
        world_size() == 1 ? 1 : world_size() * (world_size() - 1) / 2;  // the last rank's are empty
    precise.finish(both.world(), batches);
    must(lockstep_precise_statistics_finish_among(c_precise.get(), both.c_world(), batches));
    both.expect_same_state();
    EXPECT_TRUE(testing::same_on_all_ranks(both.values(LOCKSTEP_RUNNING_VAR)));
}

TEST(CCommunicators, KnowTheirRankAndSize) {
    MPI_Comm reversed = MPI_COMM_NULL;
    MPI_Comm_split(MPI_COMM_WORLD, 0, -world_rank(), &reversed);
    const auto backwards =
        made<CCommunicator>([&](auto* place) { return lockstep_communicator_create(reversed, 30, place); });
    const auto from_fortran = made<CCommunicator>(
        [&](auto* place) { return lockstep_communicator_create_fortran(MPI_Comm_c2f(reversed), 30, place); });
    MPI_Comm_free(&reversed);  // ours are duplicates
    const CCommunicator world = testing::c_world(), alone = c_self();
    const auto place_in = [](const CCommunicator& communicator) {
        std::int32_t rank = -1, size = -1;
        must(lockstep_communicator_rank(communicator.get(), &rank));
        must(lockstep_communicator_size(communicator.get(), &size));
        return std::pair(rank, size);
    };
    EXPECT_EQ(place_in(world), std::pair(world_rank(), world_size()));
    EXPECT_EQ(place_in(alone), std::pair(0, 1));
    const auto expected = std::pair(world_size() - 1 - world_rank(), world_size());
    EXPECT_EQ(place_in(backwards), expected);
    EXPECT_EQ(place_in(from_fortran), expected);
}

TEST(CCommunicators, SplitByColorInTheOrderOfTheKeys) {
    const CCommunicator world = testing::c_world();
    const int color = world_rank() % 2, same_color = (world_size() + 1 - color) / 2;
    const auto part = made<CCommunicator>(
        [&](auto* place) { return lockstep_communicator_split(world.get(), color, -world_rank(), place); });
    std::int32_t rank = -1, size = -1;
    must(lockstep_communicator_rank(part.get(), &rank));
    must(lockstep_communicator_size(part.get(), &size));
    EXPECT_EQ(size, same_color);
    EXPECT_EQ(rank, same_color - 1 - world_rank() / 2);
    // A layer on it normalizes over the part.
    const auto layer = testing::c_layer(LOCKSTEP_DOUBLE, 1, part, c_options());
    const auto saved = testing::c_moments();
    const double x = world_rank();
    double z = 0, count = 0;
    must(lockstep_batch_norm_forward(layer.get(), &x, &z, {1, 1, LOCKSTEP_CHANNELS_LAST}, saved.get()));
    must(lockstep_moments_read(saved.get(), 0, &count, nullptr, nullptr, nullptr));
    EXPECT_EQ(count, same_color);
}

TEST(CCommunicators, MakeSureThatRanksAgree) {
    const CCommunicator world = testing::c_world();
    const auto agree_on = [&](const char* pass) {
        return lockstep_communicator_check_agreement(world.get(), "the next pass", "pass", pass);
    };
    must(agree_on("forward"));
    if (world_size() == 1) return;
    EXPECT_EQ(agree_on(world_rank() == 1 ? "backward" : "forward"), LOCKSTEP_COMMUNICATION_ERROR);
    for (const char* words : {"the next pass", "pass: forward on rank 0", "backward on rank 1"})
        EXPECT_TRUE(contains(lockstep_message(), words)) << lockstep_message();
    must(agree_on("backward"));  // all have taken part: the communicator is as good as before
}

/// The last rank calls `announce` with a communicator and a layer on it, whose forward the others call.
void expect_announcement(int (*announce)(CCommunicator& world, const lockstep_batch_norm* layer)) {
    CCommunicator world = testing::c_world();
    const auto layer = testing::c_layer(LOCKSTEP_FLOAT, 1, world, c_options());
    const auto saved = testing::c_moments();
    const float x = 1;
    float z = 0;
    const testing::Watch watch;
    const auto forward = [&] {
        return lockstep_batch_norm_forward(layer.get(), &x, &z, {1, 1, LOCKSTEP_CHANNELS_LAST}, saved.get());
    };
    if (world_rank() == world_size() - 1) {
        must(announce(world, layer.get()));
    } else {
        EXPECT_EQ(forward(), LOCKSTEP_COMMUNICATION_ERROR);
        EXPECT_TRUE(contains(lockstep_message(), "the mesh has a hole")) << lockstep_message();
    }
    // The communicator is of no use any more; but a layer on one rank needs none.
    EXPECT_EQ(forward(), world_size() > 1 ? LOCKSTEP_COMMUNICATION_ERROR : LOCKSTEP_OK);
    EXPECT_LE(watch.seconds(), testing::promptly());
}

TEST(CCommunicators, AFailureThatARankAnnouncesReachesTheOthersAtOnce) {
    expect_announcement([](CCommunicator& world, const lockstep_batch_norm*) {
        return lockstep_communicator_announce_failure(world.get(), "the mesh has a hole");
    });
}

TEST(CCommunicators, AFailureIsAnnouncedByALayerWhoseCommunicatorWasFreed) {
    expect_announcement([](CCommunicator& world, const lockstep_batch_norm* layer) {
        world.reset();
        return lockstep_batch_norm_announce_failure(layer, "the mesh has a hole");
    });
}

}  // namespace
}  // namespace lockstep
