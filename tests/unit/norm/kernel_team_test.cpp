// Kernels on a team of threads: the bits of one thread, whatever the executor does with the tasks.
#include "support/batch_norm_reference.hpp"

#include <lockstep/base/thread_pool.hpp>
#include <lockstep/norm/kernels.hpp>
#include <lockstep/norm/moments.hpp>

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace lockstep {
namespace {

/// Runs all tasks here, from the last to the first, and counts them.
class Backwards final : public Executor {
  public:
    int threads() const override { return 5; }
    void run(int tasks, ExecutorTask task) override {
        for (int i = tasks; i-- > 0;) task(i);
        tasks_run += tasks;
    }

    int tasks_run = 0;
};

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

/// All that the kernels write for one batch.
template <class Scalar>
struct Results {
    std::vector<double> moments, sums;
    std::vector<Scalar> z, dx;

    bool operator==(const Results& other) const {
        return same_bits(moments, other.moments) && same_bits(sums, other.sums) && same_bits(z, other.z) &&
               same_bits(dx, other.dx);
    }
};

template <class Scalar>
class Batch {
  public:
    Batch(Index channels, BatchShape shape, Activation activation)
        : channels_(channels), shape_(shape), activation_(activation) {
        const auto values = static_cast<std::size_t>(channels * shape.values());
        // Means far from 0, and from each other, so that every order of a sum has other bits.
        x_ = testing::normal_values<Scalar>(values, 3.0, 2.0, 1);
        dz_ = testing::normal_values<Scalar>(values, 0.1, 1.0, 2);
        std::uint64_t seed = 3;
        for (auto* k : {&shift_, &scale_, &offset_, &dz_scale_, &x_scale_, &dx_offset_})
            *k = testing::normal_values<Scalar>(static_cast<std::size_t>(channels), 1.0, 0.3, seed++);
    }

    Results<Scalar> nothing() const {
        const auto size = static_cast<std::size_t>(channels_);
        return {std::vector<double>(1 + 2 * size, -1), std::vector<double>(2 * size, -1),
                std::vector<Scalar>(x_.size(), -1), std::vector<Scalar>(x_.size(), -1)};
    }

    void run(ChannelRange range, KernelTeam* team, Results<Scalar>& results) const {
        const NormalizeCoefficients<Scalar> forward{shift_.data(), scale_.data(), offset_.data()};
        batch_moments(x_.data(), channels_, shape_, range, results.moments.data(), team);
        normalize(x_.data(), results.z.data(), channels_, shape_, range, forward, activation_, team);
        gradient_sums(x_.data(), dz_.data(), channels_, shape_, range, forward, activation_,
                      results.sums.data(), team);
        input_gradient(x_.data(), dz_.data(), results.dx.data(), channels_, shape_, range,
                       {forward, dz_scale_.data(), x_scale_.data(), dx_offset_.data()}, activation_, team);
    }

    Results<Scalar> run(KernelTeam* team) const {
        Results<Scalar> results = nothing();
        run({0, channels_}, team, results);
        return results;
    }

  private:
    Index channels_;
    BatchShape shape_;
    Activation activation_;
    std::vector<Scalar> x_, dz_, shift_, scale_, offset_, dz_scale_, x_scale_, dx_offset_;
};

struct TeamCase {
    Index channels;
    BatchShape shape;
};

/// One for each way of cutting a tensor: long and short rows, rows that are joined, more channels than a tile, runs
/// longer and shorter than a task, the last block and the last task not full.
const TeamCase cases[] = {
    {1024, {130}},
    {4100, {70}},
    {300, {451}},
    {64, {5, 577}},
    {17, {31, 401}},
    {1, {70001}},
    {1, {1, 262144}},
    {3, {5, 40001, ChannelOrder::first}},
    {37, {9, 1000, ChannelOrder::first}},
    {600, {13, 49, ChannelOrder::first}},
};

std::string name_of(const TeamCase& one) {
    return std::to_string(one.channels) + " channels, batch " + std::to_string(one.shape.batch) +
           ", spatial " + std::to_string(one.shape.spatial) +
           (one.shape.order == ChannelOrder::first ? ", first" : ", last");
}

template <class Scalar>
class KernelTeams : public ::testing::Test {};
using Scalars = ::testing::Types<float, double>;
TYPED_TEST_SUITE(KernelTeams, Scalars, );

TYPED_TEST(KernelTeams, GiveTheBitsOfOneThread) {
    std::vector<std::unique_ptr<ThreadPool>> pools;
    for (const int threads : {2, 3, 8})
        pools.push_back(std::make_unique<ThreadPool>(threads, std::chrono::microseconds(0)));
    for (const TeamCase& one : cases)
        for (const Activation activation : {Activation::none, Activation::relu}) {
            const Batch<TypeParam> batch(one.channels, one.shape, activation);
            const Results<TypeParam> alone = batch.run(nullptr);
            Backwards backwards;
            KernelTeam orderly(&backwards);
            EXPECT_TRUE(batch.run(&orderly) == alone) << name_of(one);
            EXPECT_GE(backwards.tasks_run, 8) << name_of(one) << ": each kernel is cut";
            for (const auto& pool : pools) {
                KernelTeam team(pool.get());
                EXPECT_TRUE(batch.run(&team) == alone)
                    << name_of(one) << ", " << pool->threads() << " threads";
                EXPECT_TRUE(batch.run(&team) == alone) << name_of(one) << ", once more";
            }
        }
}

/// As layers do with more channels than a cache holds: each thread has channels of its own, for which it calls all
/// kernels.
TYPED_TEST(KernelTeams, RangesOfChannelsOnThreadsOfTheirOwnGiveTheBitsOfOneThread) {
    ThreadPool pool(4, std::chrono::microseconds(0));
    const Batch<TypeParam> batch(37, {9, 500, ChannelOrder::first}, Activation::relu);
    const Results<TypeParam> alone = batch.run(nullptr);
    Results<TypeParam> together = batch.nothing();
    auto one = [&](int c) { batch.run({c, c + 1}, nullptr, together); };
    pool.run(37, ExecutorTask::of(one));
    EXPECT_TRUE(together == alone);
}

TYPED_TEST(KernelTeams, LeaveSmallWorkToTheCaller) {
    const Batch<TypeParam> batch(300, {64}, Activation::none);
    Backwards backwards;
    KernelTeam team(&backwards);
    EXPECT_TRUE(batch.run(&team) == batch.run(nullptr));
    EXPECT_EQ(backwards.tasks_run, 0);
}

TEST(KernelTeam, OfOneThreadIsTheCallerAlone) {
    ThreadPool pool(1);
    EXPECT_TRUE(KernelTeam(&pool).is_alone());
    EXPECT_TRUE(KernelTeam().is_alone());
    ThreadPool two(2);
    EXPECT_FALSE(KernelTeam(&two).is_alone());
}

}  // namespace
}  // namespace lockstep
