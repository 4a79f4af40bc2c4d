// The passes of the C interface have the bits of the C++ layer's.
#include "support/both_layers.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace lockstep {
namespace {

using testing::BothLayers;
using testing::c_shape;
using testing::GlobalBatch;
using testing::must;
using testing::uneven_samples;
using testing::world_rank;
using testing::world_size;

template <class Scalar>
class CPasses : public ::testing::Test {};
using Scalars = ::testing::Types<float, double>;
TYPED_TEST_SUITE(CPasses, Scalars, );

TYPED_TEST(CPasses, HaveTheBitsOfTheLayerWithEveryOption) {
    const std::vector<BatchNormOptions> all{
        {},
        {.epsilon = 0.1, .momentum = 0.5, .name = "closure"},
        {.activation = Activation::relu, .momentum = std::nullopt},
        {.affine = false},
        {.frozen = true},
    };
    for (const BatchNormOptions& options : all)
        for (const ChannelOrder order : {ChannelOrder::last, ChannelOrder::first}) {
            const GlobalBatch<TypeParam> batch(5, uneven_samples(), 3, order);
            BothLayers<TypeParam> both(5, options);
            if (options.affine) both.set_parameters(batch);
            for (int step = 0; step < 3; ++step) {
                both.expect_same_forward(batch);
                both.expect_same_backward(batch);
                both.expect_same_inference(batch);
            }
        }
}

TYPED_TEST(CPasses, WithoutRunningAveragesHaveTheBitsOfTheLayer) {
    const GlobalBatch<TypeParam> batch(2, uneven_samples());
    BothLayers<TypeParam> both(2, {.track_running_averages = false});
    both.expect_same_forward(batch);
    both.expect_same_backward(batch);
    std::vector<TypeParam> z(batch.x.size());
    EXPECT_EQ(lockstep_batch_norm_infer(both.c(), batch.x.data(), z.data(), c_shape(batch.whole())),
              LOCKSTEP_USAGE_ERROR);
    EXPECT_TRUE(testing::contains(lockstep_message(), "track_running_averages is off")) << lockstep_message();
    std::int64_t batches = 0;
    EXPECT_EQ(lockstep_batch_norm_batches_tracked(both.c(), &batches, nullptr), LOCKSTEP_USAGE_ERROR);
    EXPECT_TRUE(testing::contains(lockstep_message(), "track_running_averages is off")) << lockstep_message();
}

TYPED_TEST(CPasses, InTwoHalvesHaveTheBitsOfWholeOnes) {
    const GlobalBatch<TypeParam> batch(4, uneven_samples(), 2);
    const int part = world_rank();
    const auto x = batch.part(batch.x, part), dz = batch.part(batch.dz, part);
    const lockstep_shape shape = c_shape(batch.shape(part));
    BothLayers<TypeParam> both(4, {.name = "halves"});
    std::vector<TypeParam> z(x.size()), c_z(x.size()), dx(x.size()), c_dx(x.size());
    const auto poll_until_done = [&] {
        for (int done = 0; done == 0;) must(lockstep_batch_norm_poll(both.c(), &done));
    };
    both.norm().forward(x, z, batch.shape(part), both.saved());
    must(lockstep_batch_norm_begin_forward(both.c(), x.data(), c_z.data(), shape, both.c_saved()));
    poll_until_done();
    must(lockstep_batch_norm_end_forward(both.c()));
    EXPECT_EQ(c_z, z);
    both.expect_same_moments();

    both.norm().backward(x, dz, dx, batch.shape(part), both.saved());
    must(lockstep_batch_norm_begin_backward(both.c(), x.data(), dz.data(), c_dx.data(), shape,
                                            both.c_saved()));
    poll_until_done();
    must(lockstep_batch_norm_end_backward(both.c()));
    EXPECT_EQ(c_dx, dx);
    both.expect_same_state();
}

TYPED_TEST(CPasses, InPlaceHaveTheBitsOfOthers) {
    const GlobalBatch<TypeParam> batch(3, uneven_samples());
    const int part = world_rank();
    const lockstep_shape shape = c_shape(batch.shape(part));
    BothLayers<TypeParam> both(3, {});
    const auto x = batch.part(batch.x, part);
    std::vector<TypeParam> z(x.size()), dx(x.size());
    both.norm().forward(x, z, batch.shape(part), both.saved());
    both.norm().backward(x, batch.part(batch.dz, part), dx, batch.shape(part), both.saved());

    auto values = x, gradients = batch.part(batch.dz, part);
    must(lockstep_batch_norm_forward(both.c(), values.data(), values.data(), shape, both.c_saved()));
    EXPECT_EQ(values, z);
    must(lockstep_batch_norm_backward(both.c(), x.data(), gradients.data(), gradients.data(), shape,
                                      both.c_saved()));
    EXPECT_EQ(gradients, dx);
}

TYPED_TEST(CPasses, ForParametersAloneHaveTheBitsOfTheLayerAndAddUpUntilZeroed) {
    const GlobalBatch<TypeParam> batch(3, uneven_samples(), 2);
    const int part = world_rank();
    const auto x = batch.part(batch.x, part), dz = batch.part(batch.dz, part);
    BothLayers<TypeParam> both(3, {});
    both.expect_same_forward(batch);
    for (int repeat = 0; repeat < 2; ++repeat) {
        both.norm().backward_parameters(x.data(), dz.data(), batch.shape(part), both.saved());
        must(lockstep_batch_norm_backward_parameters(both.c(), x.data(), dz.data(),
                                                     c_shape(batch.shape(part)), both.c_saved()));
        both.expect_same_state();
    }
    must(lockstep_batch_norm_zero_gradients(both.c()));
    both.norm().zero_gradients();
    both.expect_same_state();
}

/// Several replicas on each rank, in groups; group 0: all of them.
template <class Scalar>
void expect_same_slices(int group, bool dx_is_wanted) {
    std::vector<Index> sizes;
    for (int replica = 0; replica < 2 * world_size() + 2; ++replica) sizes.push_back(replica % 4);
    const GlobalBatch<Scalar> batch(3, sizes, 2);
    const ReplicaPlacement placement{.replicas = batch.replicas(),
                                     .group = group == 0 ? std::nullopt : std::optional(group)};
    BothLayers<Scalar> both(3, {.name = "slices"}, placement);
    both.set_parameters(batch);
    const ReplicaRange hosted = ReplicaMap(batch.replicas(), world_size()).block(world_rank());

    std::vector<Scalar> z(batch.x.size()), dx(batch.x.size());
    std::vector<std::vector<Scalar>> gradients(static_cast<std::size_t>(hosted.size()),
                                               std::vector<Scalar>(6));
    std::vector<lockstep_forward_slice> forward;
    std::vector<lockstep_backward_slice> backward;
    for (int replica = hosted.begin; replica < hosted.end; ++replica) {
        const std::size_t at = batch.begin(replica);
        Scalar* const own = gradients[static_cast<std::size_t>(replica - hosted.begin)].data();
        const lockstep_shape shape = c_shape(batch.shape(replica));
        forward.push_back({batch.x.data() + at, z.data() + at, shape});
        backward.push_back({batch.x.data() + at, batch.dz.data() + at,
                            dx_is_wanted ? dx.data() + at : nullptr, shape, own, own + 3});
    }
    const auto count = static_cast<std::int64_t>(forward.size());
    auto expected = testing::run_step(both.norm(), batch, hosted);
    must(lockstep_batch_norm_forward_slices(both.c(), forward.data(), count, both.c_saved()));
    must(lockstep_batch_norm_backward_slices(both.c(), backward.data(), count, both.c_saved()));
    EXPECT_EQ(z, expected.z);
    EXPECT_EQ(dx, dx_is_wanted ? expected.dx : std::vector<Scalar>(dx.size()));
    EXPECT_EQ(gradients, expected.gradients);
    both.saved() = expected.saved;
    both.expect_same_moments();
    both.expect_same_state();
}

TYPED_TEST(CPasses, OfSeveralReplicasOnARankHaveTheBitsOfTheLayer) {
    for (const int group : {0, 1, 2}) expect_same_slices<TypeParam>(group, true);
}

TYPED_TEST(CPasses, OfSeveralReplicasWithoutAnyDxGiveTheGradientsOfParameters) {
    expect_same_slices<TypeParam>(0, false);
}

TYPED_TEST(CPasses, OfSeveralReplicasMayLeaveOutTheGradientsOfParameters) {
    BothLayers<TypeParam> both(1, {.name = "slices"});
    const TypeParam x[2] = {1, 3};
    TypeParam z[2], dx[2] = {};
    const lockstep_shape shape{2, 1, LOCKSTEP_CHANNELS_LAST};
    const lockstep_forward_slice forward{x, z, shape};
    const lockstep_backward_slice backward{x, x, dx, shape, nullptr, nullptr};
    must(lockstep_batch_norm_forward_slices(both.c(), &forward, 1, both.c_saved()));
    must(lockstep_batch_norm_backward_slices(both.c(), &backward, 1, both.c_saved()));
    EXPECT_EQ(testing::copy_of<TypeParam>(both.values(LOCKSTEP_GAMMA_GRADIENT)), std::vector<TypeParam>{0});
}

}  // namespace
}  // namespace lockstep
