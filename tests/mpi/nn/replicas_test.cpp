// A network gives the same bits on any number of ranks: every rank computes all replicas by itself, too, and
// compares what it has computed as one of several.
#include <lockstep/comm/replica_sum.hpp>
#include <support/layer_harness.hpp>
#include <support/mpi_calls.hpp>
#include <support/ranks_per_node.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>

namespace lockstep::test {
namespace {

template <class Scalar>
bool same_bits(std::span<const Scalar> a, std::span<const Scalar> b) {
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0);
}

struct Case {
    std::string model;
    Shape input;
};

const Case cases[] = {
    {"batchnorm, linear 33, relu, batchnorm, dropout 0.2, linear 21, relu, batchnorm, linear 10",
     Shape::dense(49)},
    {"conv 6 3x3 pad 1, batchnorm, relu, maxpool 2, residual { conv 17 3x3 stride 2 pad 1, batchnorm, relu, "
     "conv 17 3x3 pad 1, batchnorm }, relu, dropout 0.1, avgpool 2, flatten, linear 10",
     Shape{9, 8, 3}},
};

void expect_same_bits(const Case& test, const std::vector<Index>& batches, std::optional<int> group) {
    SCOPED_TRACE(test.model + ", " + std::to_string(batches.size()) + " replicas, group " +
                 std::to_string(group.value_or(0)));
    const Communicator world(MPI_COMM_WORLD);
    if (static_cast<int>(batches.size()) < world.size()) return;
    LayerHarness<float> alone(test.model, test.input, batches, Communicator::self(), group);
    LayerHarness<float> together(test.model, test.input, batches, world, group);
    const Index size = alone.layout().parameter_values();
    const std::vector<float*> cover = together.gradients().cover();
    ReplicaSum<float> sum(world, parties_of(together.map()), cover, cover.front(), size, next_sum(world),
                          nullptr, {});
    for (int step = 0; step < 3; ++step) {
        for (auto* harness : {&alone, &together}) {
            harness->step.step = static_cast<std::uint64_t>(step);
            harness->forward();
            harness->backward();
        }
        sum.start();
        sum.wait();
        const auto first = static_cast<std::size_t>(together.hosted().begin);
        for (std::size_t r = 0; r < together.z.size(); ++r) {
            EXPECT_TRUE(same_bits<float>(together.z[r].values, alone.z[first + r].values)) << "outputs";
            EXPECT_TRUE(same_bits<float>(together.dx[r].values, alone.dx[first + r].values))
                << "input gradients";
        }
        const std::span<const float> mine(together.gradients().cover()[0], static_cast<std::size_t>(size));
        const std::span<const float> reference(alone.gradients().cover()[0], static_cast<std::size_t>(size));
        EXPECT_TRUE(same_bits(mine, reference)) << "parameter gradients";
        for (auto* harness : {&alone, &together})
            for (std::size_t i = 0; i < harness->parameters().size(); ++i)
                harness->parameters()[i] -= 0.01f * harness->gradients().cover()[0][i];
    }
}

TEST(Replicas, HaveTheSameBitsOnAnyNumberOfRanks) {
    const std::vector<Index> even = {8, 8, 8, 8}, uneven = {5, 4, 5, 4, 4, 3},
                             ragged = {7, 0, 3, 1, 2, 9, 1, 4};
    for (const Case& test : cases)
        for (const auto& batches : {even, uneven, ragged})
            for (const std::optional<int> group : {std::optional<int>{}, std::optional<int>{2}})
                expect_same_bits(test, batches, group);
    for (const Case& test : cases)
        for (const auto& batches : {even, uneven}) expect_same_bits(test, batches, 1);
}

TEST(Replicas, EvaluateWithoutAnyMessage) {
    const testing::RanksPerNode apart(1);  // so that whatever is exchanged is a message, and counted
    const Communicator world(MPI_COMM_WORLD);
    for (const Case& test : cases) {
        LayerHarness<float> harness(test.model, test.input, {2, 3, 1, 2}, world);
        const long before_training = mpi_calls();
        harness.forward();
        if (world.size() > 1) {
            EXPECT_GT(mpi_calls(), before_training) << "the counter does not count";
        }
        const long before = mpi_calls();
        // Not even alike on all ranks: a rank may evaluate when it likes.
        for (int i = 0; i <= world.rank(); ++i) harness.infer(harness.x[0].const_tensor());
        EXPECT_EQ(mpi_calls(), before);
    }
}

/// Results may depend on shapes but not on where the heap happened to put a buffer.
TEST(Replicas, HaveTheSameBitsWhereverTheirBuffersLie) {
    for (const Case& test : cases) {
        std::vector<LayerHarness<float>> harnesses;
        std::vector<AlignedVector<float>> moves_the_heap;
        for (int i = 0; i < 4; ++i) {
            moves_the_heap.emplace_back(static_cast<std::size_t>(1 + 1777 * i));
            auto harness = std::make_unique<LayerHarness<float>>(
                test.model, test.input, std::vector<Index>{13, 6}, Communicator::self());
            harness->forward();
            harness->backward();
            harnesses.push_back(std::move(*harness));
        }
        for (int i = 1; i < 4; ++i) {
            const auto& one = harnesses[static_cast<std::size_t>(i)];
            EXPECT_TRUE(same_bits<float>(one.z[0].values, harnesses[0].z[0].values));
            EXPECT_TRUE(same_bits<float>(one.dx[1].values, harnesses[0].dx[1].values));
        }
    }
}

/// A batch norm does the work of a relu that follows, but not of one that comes last. The second relu changes
/// nothing, and makes the first one not the last.
TEST(Replicas, HaveTheSameBitsWhetherBatchNormOrALayerOfItsOwnRectifies) {
    const Communicator world(MPI_COMM_WORLD);
    const std::string model = "conv 6 3x3 pad 1, batchnorm, relu";
    LayerHarness<float> apart(model, {9, 8, 3}, {5, 4, 1, 3}, world);
    LayerHarness<float> fused(model + ", relu", {9, 8, 3}, {5, 4, 1, 3}, world);
    for (auto* harness : {&apart, &fused}) {
        harness->forward();
        harness->backward();
    }
    const auto gradients = [](LayerHarness<float>& harness) {
        const auto values = static_cast<std::size_t>(harness.gradients().values());
        return std::span<const float>(harness.gradients().cover()[0], values);
    };
    for (std::size_t r = 0; r < apart.z.size(); ++r) {
        EXPECT_TRUE(same_bits<float>(apart.z[r].values, fused.z[r].values));
        EXPECT_TRUE(same_bits<float>(apart.dx[r].values, fused.dx[r].values));
        EXPECT_TRUE(same_bits<float>(apart.infer(apart.x[r].const_tensor()).values,
                                     fused.infer(fused.x[r].const_tensor()).values));
    }
    EXPECT_TRUE(same_bits(gradients(apart), gradients(fused)));
}

}  // namespace
}  // namespace lockstep::test
