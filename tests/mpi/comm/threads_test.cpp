// Which threads may use a communicator, and what those get that may not: an error in words, and no harm done to the
// exchange that is under way. Runs at several thread levels of MPI; each test is for those in its name.
#include <lockstep/base/error.hpp>
#include <lockstep/comm/communicator.hpp>
#include <lockstep/comm/tree_exchange.hpp>

#include "support/mpi_values.hpp"

#include <gtest/gtest.h>
#include <mpi.h>

#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <utility>

namespace lockstep {
namespace {

using testing::contains;
using testing::error_of;
using testing::world_rank;
using testing::world_size;

int thread_level() {
    int level = MPI_THREAD_SINGLE;
    MPI_Query_thread(&level);
    return level;
}

/// A sum over the ranks of one number each, which `merge` adds.
class RankSum {
  public:
    explicit RankSum(const Communicator& communicator, TreeMerge merge = sum_merge(1))
        : map_(communicator.size(), communicator.size()),
          exchange_(communicator, map_, map_.all(), 1, std::move(merge)) {}

    double of(double value) {
        *exchange_.leaf(0) = value;
        exchange_.push(0);
        exchange_.start(ExchangeLabel("sum", ExchangeKind::forward_moments, 1, 4));
        return *exchange_.wait();
    }
    bool poll() { return exchange_.poll(); }

  private:
    ReplicaMap map_;
    TreeExchange exchange_;
};

double sum_of_ranks() {
    return world_size() * (world_size() - 1) / 2.0;
}

/// What a call on `other` meets with while another thread of rank 0 is inside an exchange of `communicator`, which must
/// end well.
std::string error_while_another_thread_is_inside(const Communicator& communicator, RankSum& other) {
    std::atomic<bool> inside{false}, answered{world_rank() != 0};
    std::atomic<double> sum{-1};
    RankSum exchange(communicator, [&](double* left, const double* right) {
        inside = true;
        inside.notify_one();
        answered.wait(false);
        *left += *right;
    });
    std::string error;
    if (world_rank() != 0) {
        sum = exchange.of(world_rank());
    } else {
        std::thread another([&] { sum = exchange.of(world_rank()); });
        inside.wait(false);
        error = error_of<UsageError>([&] { other.poll(); });
        answered = true;
        answered.notify_one();
        another.join();
    }
    EXPECT_EQ(sum, sum_of_ranks());
    return error;
}

TEST(Threads, WithMultipleOneCommunicatorServesOneAtATime) {
    if (thread_level() != MPI_THREAD_MULTIPLE || world_size() == 1) return;
    const Communicator world(MPI_COMM_WORLD);
    RankSum other(world);
    const std::string error = error_while_another_thread_is_inside(world, other);
    EXPECT_EQ(contains(error, "a Communicator of its own"), world_rank() == 0) << error;
    EXPECT_EQ(other.of(world_rank()), sum_of_ranks());
}

TEST(Threads, WithMultipleEachMayHaveACommunicatorOfItsOwn) {
    if (thread_level() != MPI_THREAD_MULTIPLE) return;
    const Communicator first(MPI_COMM_WORLD), second(MPI_COMM_WORLD);
    const auto sum_often = [](const Communicator& communicator, int& right) {
        RankSum exchange(communicator);
        for (int i = 0; i < 500; ++i)
            right += exchange.of(world_rank() + i) == sum_of_ranks() + i * world_size();
    };
    int first_right = 0, second_right = 0;
    std::thread another([&] { sum_often(first, first_right); });
    sum_often(second, second_right);
    another.join();
    EXPECT_EQ(first_right, 500);
    EXPECT_EQ(second_right, 500);
}

TEST(Threads, WithSerializedOneCommunicatesAtATimeOverAllCommunicators) {
    if (thread_level() != MPI_THREAD_SERIALIZED || world_size() == 1) return;
    const Communicator first(MPI_COMM_WORLD), second(MPI_COMM_WORLD);
    RankSum other(second);
    const std::string error = error_while_another_thread_is_inside(first, other);
    EXPECT_EQ(contains(error, "MPI_THREAD_SERIALIZED"), world_rank() == 0) << error;
    EXPECT_EQ(other.of(world_rank()), sum_of_ranks());
}

TEST(Threads, WithSerializedOrMultipleTheyMayTakeTurns) {
    if (thread_level() < MPI_THREAD_SERIALIZED) return;
    std::optional<Communicator> made_elsewhere;
    double sum = -1;
    std::thread([&] { made_elsewhere.emplace(MPI_COMM_WORLD); }).join();
    RankSum exchange(*made_elsewhere);
    std::thread([&] { sum = exchange.of(world_rank()); }).join();
    EXPECT_EQ(sum, sum_of_ranks());
    EXPECT_EQ(exchange.of(world_rank()), sum_of_ranks());
}

TEST(Threads, WithLessOnlyTheThreadThatInitializedMpiCommunicates) {
    if (thread_level() >= MPI_THREAD_SERIALIZED) return;
    const Communicator world(MPI_COMM_WORLD);
    RankSum exchange(world);
    std::string making, polling;
    std::thread([&] {
        making = error_of<UsageError>([] { const Communicator refused(MPI_COMM_WORLD); });
        if (world_size() > 1) polling = error_of<UsageError>([&] { exchange.poll(); });
    }).join();
    EXPECT_TRUE(contains(making, "only the thread that initialized MPI")) << making;
    EXPECT_EQ(polling, world_size() > 1 ? making : "");
    EXPECT_EQ(exchange.of(world_rank()), sum_of_ranks());
}

TEST(Threads, AnyMayLetGoOfACommunicator) {
    std::optional<Communicator> world(std::in_place, MPI_COMM_WORLD);
    std::thread([&] { world.reset(); }).join();
    const Communicator next(MPI_COMM_WORLD);
    RankSum exchange(next);
    EXPECT_EQ(exchange.of(world_rank()), sum_of_ranks());
}

}  // namespace
}  // namespace lockstep
