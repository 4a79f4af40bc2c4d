// Gradients get the same sums in shared memory and in messages, and the reducer takes the path it promises.
#include <lockstep/train/gradient_reducer.hpp>

#include <support/mpi_values.hpp>
#include <support/replica_arrays.hpp>

#include <gtest/gtest.h>

namespace lockstep {
namespace {

using testing::expected_sum;
using testing::ReplicaArrays;
using testing::world_size;

// Buckets of messages hold 64 Ki floats; chunks of memory less.
TEST(GradientReducer, GivesTheSameBitsOnBothPaths) {
    const Communicator world(MPI_COMM_WORLD);
    for (const Index values : {1, 1000, 200001})
        for (const int replicas : {world.size(), 7, 9})
            for (const GradientPath path : {GradientPath::automatic, GradientPath::messages}) {
                const ReplicaMap map(replicas, world.size());
                GradientReducer<float> reducer(world, map, values, {.path = path});
                ReplicaArrays<float> arrays(world, map, static_cast<std::size_t>(values), reducer.cover());
                for (std::uint64_t step = 1; step <= 3; ++step) {
                    arrays.fill(step);
                    for (Index offset = values; offset > 0; offset -= 70000) reducer.ready(offset);
                    const float* const sum = reducer.finish();
                    ASSERT_EQ(std::vector<float>(sum, sum + values),
                              expected_sum<float>(replicas, static_cast<std::size_t>(values), step));
                }
            }
}

TEST(GradientReducer, SharesMemoryUnlessToldOtherwise) {
    const Communicator world(MPI_COMM_WORLD);
    const ReplicaMap map(world.size(), world.size());
    using Reducer = GradientReducer<float>;
#ifdef __linux__
    EXPECT_EQ(Reducer(world, map, 100, {}).shares_memory(), world_size() > 1);
#endif
    EXPECT_FALSE(Reducer(world, map, 100, {.path = GradientPath::messages}).shares_memory());
    EXPECT_FALSE(Reducer(world, map, 100, {.reduction = Reduction::fast}).shares_memory());
}

}  // namespace
}  // namespace lockstep
