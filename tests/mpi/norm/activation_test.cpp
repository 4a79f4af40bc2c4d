// A layer with an activation: what a layer without it gives, and the activation by hand.
#include <lockstep/norm/sync_batch_norm.hpp>

#include "support/global_batch.hpp"
#include "support/mpi_values.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace lockstep {
namespace {

using testing::GlobalBatch;
using testing::set_parameters;
using testing::world_rank;
using testing::world_size;

template <class Scalar>
struct Outcome {
    std::vector<Scalar> z, dx, gradients, averages, inferred;
};

/// Forward, backward and evaluation of this rank's part; `by_hand` rectifies outside of the layer.
template <class Scalar>
Outcome<Scalar> run(const GlobalBatch<Scalar>& batch, Index channels, BatchNormOptions options,
                    bool by_hand) {
    const Communicator world(MPI_COMM_WORLD);
    SyncBatchNorm<Scalar> layer(channels, world, std::move(options));
    set_parameters(layer, batch);
    const auto x = batch.part(batch.x, world_rank());
    auto dz = batch.part(batch.dz, world_rank());
    const BatchShape shape = batch.shape(world_rank());
    Outcome<Scalar> outcome;
    outcome.z.resize(x.size());
    outcome.dx.resize(x.size());
    outcome.inferred.resize(x.size());
    const auto rectify = [by_hand](std::vector<Scalar>& values) {
        if (!by_hand) return;
        for (Scalar& value : values) value = std::max(value, Scalar(0));
    };
    BatchMoments saved;
    layer.forward(x, outcome.z, shape, saved);
    rectify(outcome.z);
    if (by_hand)
        for (std::size_t i = 0; i < dz.size(); ++i)
            if (!(outcome.z[i] > 0)) dz[i] = 0;
    layer.backward(x, dz, outcome.dx, shape, saved);
    layer.backward_parameters(x.data(), dz.data(), shape, saved);
    layer.infer(x, outcome.inferred, shape);
    rectify(outcome.inferred);
    outcome.gradients.assign(layer.gradients().begin(), layer.gradients().end());
    outcome.averages.assign(layer.running_var().begin(), layer.running_var().end());
    return outcome;
}

template <class Scalar>
void expect_equal_to_relu_by_hand(bool frozen) {
    std::vector<Index> sizes;
    for (int rank = 0; rank < world_size(); ++rank) sizes.push_back(rank == 1 ? 0 : rank + 2);
    for (const Index channels : {1, 17, 64}) {
        SCOPED_TRACE(std::to_string(channels) + " channels" + (frozen ? ", frozen" : ""));
        const GlobalBatch<Scalar> batch(channels, sizes, 9);
        const auto expected = run(batch, channels, {.frozen = frozen}, true);
        const auto fused = run(batch, channels, {.activation = Activation::relu, .frozen = frozen}, false);
        EXPECT_EQ(fused.z, expected.z);
        EXPECT_EQ(fused.dx, expected.dx);
        EXPECT_EQ(fused.gradients, expected.gradients);
        EXPECT_EQ(fused.averages, expected.averages);
        EXPECT_EQ(fused.inferred, expected.inferred);
        if (world_rank() != 1) {
            EXPECT_TRUE(std::ranges::count(fused.z, Scalar(0)) > 0);
        }
    }
}

TEST(Activation, ReluInTheLayerEqualsReluByHand) {
    for (const bool frozen : {false, true}) {
        expect_equal_to_relu_by_hand<float>(frozen);
        expect_equal_to_relu_by_hand<double>(frozen);
    }
}

}  // namespace
}  // namespace lockstep
