// Communicators that fail cost nothing that lasts: neither of MPI's few numbers for communicators nor memory.
#include <lockstep/base/error.hpp>
#include <lockstep/comm/replica_sum.hpp>
#include <lockstep/comm/tree_exchange.hpp>

#include "support/mpi_values.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <string>
#include <vector>

namespace lockstep {
namespace {

using testing::error_of;
using testing::world_size;

/// MPICH has 2048.
constexpr int more_than_mpi_has = 2200;

/// Of this process, in MiB; 0 where the system does not tell.
double resident_memory() {
    std::ifstream file("/proc/self/statm");
    double pages = 0, resident = 0;
    file >> pages >> resident;
    return resident * 4096 / (1 << 20);
}

/// Makes communicators, and lets each of them fail.
void expect_to_survive(const std::function<void(const Communicator&)>& fail) {
    double before = 0;
    for (int i = 0; i < more_than_mpi_has; ++i) {
        const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 60});
        const std::string text = error_of<CommunicationError>([&] { fail(world); });
        ASSERT_NE(text, "") << "failure " << i;
        if (i == more_than_mpi_has / 4) before = resident_memory();  // by now all buffers of MPI are there
    }
    EXPECT_LT(resident_memory() - before, 10);
    const Communicator world(MPI_COMM_WORLD);
    EXPECT_EQ(world.all_gather("x", "afterwards").size(), static_cast<std::size_t>(world.size()));
}

TEST(ManyFailures, OfRanksThatDisagree) {
    if (world_size() == 1) return;
    expect_to_survive([](const Communicator& world) {
        const ReplicaMap map(world.size(), world.size());
        TreeExchange exchange(world, map, map.all(), 3, sum_merge(3));
        exchange.push(0);
        exchange.start(
            ExchangeLabel(world.rank() == 0 ? "one" : "another", ExchangeKind::forward_moments, 1, 4));
        exchange.wait();
    });
}

TEST(ManyFailures, OfOneRankWhoseWordsReachTheOthersInALongExchange) {
    if (world_size() == 1) return;
    constexpr std::size_t values = 30'000;  // more than MPI sends before it is received
    expect_to_survive([](const Communicator& world) {
        if (world.rank() == 0) {
            world.announce_failure("out of ideas");
            throw CommunicationError("the caller's own");
        }
        const ReplicaMap map(world.size(), world.size());
        TreeExchange exchange(world, map, map.all(), values, sum_merge(values));
        exchange.push(0);
        exchange.start(ExchangeLabel("layer", ExchangeKind::forward_moments, 1, 4));
        exchange.wait();
    });
}

TEST(ManyFailures, OfSumsOfGradientsGivenUpHalfWay) {
    if (world_size() == 1) return;
    std::vector<float> gradients(20'000);
    expect_to_survive([&](const Communicator& world) {
        const ReplicaMap map(world.size(), world.size());
        ReplicaSum<float> sum(world, parties_of(map), {gradients.data()}, gradients.data(),
                              static_cast<Index>(gradients.size()), next_sum(world), nullptr,
                              {.form = ExchangeForm::long_form});
        sum.start();
        if (world.rank() == 0) throw CommunicationError("the caller's own");
        sum.wait();
        throw CommunicationError("rank 0 had given its part");
    });
}

}  // namespace
}  // namespace lockstep
