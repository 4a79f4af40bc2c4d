// What the modes mean: synchronized replicas are one replica with the whole batch, local ones are not.
#include <support/training.hpp>

#include <gtest/gtest.h>

namespace lockstep::test {
namespace {

constexpr double same = 1e-5;
constexpr std::size_t steps = 20;

/// 20 steps of 16 samples, in one epoch.
TrainerOptions twenty_steps(int replicas, const std::string& mode) {
    TrainerOptions options = small_options(replicas, mode, 16 / replicas);
    options.schedule.epochs = 1;
    return options;
}

const Dataset& data() {
    static const Images columns = noisy_columns(313);  // 19 batches would hold 304
    return columns;
}

template <class Scalar>
void expect_sync_is_one_replica() {
    const auto whole = train<Scalar>(twenty_steps(1, "sync"), data(), Communicator::self());
    const auto sync = train<Scalar>(twenty_steps(4, "sync"), data(), Communicator(MPI_COMM_WORLD));
    const auto local = train<Scalar>(twenty_steps(4, "local"), data(), Communicator(MPI_COMM_WORLD));
    ASSERT_EQ(whole.losses.size(), steps);
    for (std::size_t i = 0; i < steps; ++i)
        EXPECT_NEAR(sync.losses[i] / whole.losses[i], 1, same) << "step " << i;
    EXPECT_LT(relative_difference(sync.parameters, whole.parameters), same);
    EXPECT_LT(relative_difference(sync.averages, whole.averages), same);

    EXPECT_GT(relative_difference(local.losses, whole.losses), 100 * same);
    EXPECT_GT(relative_difference(local.parameters, whole.parameters), 1000 * same);
}

TEST(Synchronized, ReplicasEqualOneWithTheWholeBatchInFloat) {
    expect_sync_is_one_replica<float>();
}
TEST(Synchronized, ReplicasEqualOneWithTheWholeBatchInDouble) {
    expect_sync_is_one_replica<double>();
}

TEST(Groups, OfAllReplicasAreSynchronizedAndOfOneAreLocal) {
    const Communicator world(MPI_COMM_WORLD);
    EXPECT_EQ(train<float>(twenty_steps(4, "group:4"), data(), world).fingerprint,
              train<float>(twenty_steps(4, "sync"), data(), world).fingerprint);
    EXPECT_EQ(train<float>(twenty_steps(4, "group:1"), data(), world).fingerprint,
              train<float>(twenty_steps(4, "local"), data(), world).fingerprint);
}

// The first layer sees the same values in every mode, so its pooled averages are those of the global batch.
TEST(RunningAverages, DescribeTheGlobalBatchInEveryMode) {
    const auto whole = train<double>(twenty_steps(1, "sync"), data(), Communicator::self());
    const auto first_layer = [](const RunRecord<double>& run) {
        return std::vector<double>(run.averages.begin(), run.averages.begin() + 36);
    };
    for (const char* mode : {"local", "group:2", "sync"}) {
        const auto run = train<double>(twenty_steps(4, mode), data(), Communicator(MPI_COMM_WORLD));
        EXPECT_LT(relative_difference(first_layer(run), first_layer(whole)), 1e-12) << mode;
    }
}

}  // namespace
}  // namespace lockstep::test
