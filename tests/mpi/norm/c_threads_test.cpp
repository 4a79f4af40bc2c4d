// Threads through the C interface: an executor of the caller's, and the pool that comes with it.
#include "support/both_layers.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace lockstep {
namespace {

using testing::BothLayers;
using testing::contains;
using testing::CThreadPool;
using testing::GlobalBatch;
using testing::made;
using testing::must;
using testing::uneven_samples;

/// An executor of a C caller: counts, and runs the tasks from the last to the first.
struct Backwards {
    int tasks_run = 0;

    static std::int32_t threads(void*) { return 3; }
    static void run(void* self, std::int32_t tasks, void (*task)(void*, std::int32_t), void* argument) {
        for (std::int32_t i = tasks; i-- > 0;) task(argument, i);
        static_cast<Backwards*>(self)->tasks_run += tasks;
    }
    lockstep_executor executor() { return {this, threads, run}; }
};

lockstep_executor executor_of(const CThreadPool& pool) {
    lockstep_executor executor{};
    must(lockstep_thread_pool_executor(pool.get(), &executor));
    return executor;
}

CThreadPool pool_of(int threads) {
    return made<CThreadPool>([&](auto* place) { return lockstep_thread_pool_create(threads, place); });
}

/// A batch that is worth spreading.
template <class Scalar>
GlobalBatch<Scalar> large_batch() {
    return GlobalBatch<Scalar>(64, uneven_samples(), 1024);
}

template <class Scalar>
void expect_same_step(BothLayers<Scalar>& both, const GlobalBatch<Scalar>& batch) {
    both.expect_same_forward(batch);
    both.expect_same_backward(batch);
    both.expect_same_inference(batch);
}

template <class Scalar>
class CThreads : public ::testing::Test {};
using Scalars = ::testing::Types<float, double>;
TYPED_TEST_SUITE(CThreads, Scalars, );

TYPED_TEST(CThreads, OfTheCallerGiveTheBitsOfNone) {
    const auto batch = large_batch<TypeParam>();
    BothLayers<TypeParam> both(64, {.name = "closure"});
    Backwards backwards;
    {
        lockstep_executor executor = backwards.executor();
        must(lockstep_batch_norm_set_executor(both.c(), &executor));
        executor = {};  // it was copied
    }
    expect_same_step(both, batch);
    EXPECT_GT(backwards.tasks_run, 0);

    // Without it, it is not called any more.
    must(lockstep_batch_norm_set_executor(both.c(), nullptr));
    backwards.tasks_run = 0;
    expect_same_step(both, batch);
    EXPECT_EQ(backwards.tasks_run, 0);
}

TYPED_TEST(CThreads, OfThePoolGiveTheBitsOfNone) {
    const auto batch = large_batch<TypeParam>();
    for (const int threads : {1, 2, 3, 8}) {
        const CThreadPool pool = pool_of(threads);
        const lockstep_executor executor = executor_of(pool);
        BothLayers<TypeParam> both(64, {.name = "closure"});
        must(lockstep_batch_norm_set_executor(both.c(), &executor));
        expect_same_step(both, batch);
    }
}

TEST(CThreadPools, RunEveryTaskOnceOnTheirThreads) {
    const CThreadPool pool = pool_of(3);
    const lockstep_executor executor = executor_of(pool);
    EXPECT_EQ(executor.threads(executor.context), 3);
    std::vector<std::atomic<int>> runs(1000);
    executor.run(
        executor.context, 1000,
        [](void* argument, std::int32_t i) {
            ++(*static_cast<std::vector<std::atomic<int>>*>(argument))[static_cast<std::size_t>(i)];
        },
        &runs);
    for (const auto& count : runs) EXPECT_EQ(count, 1);
}

TEST(CThreadPools, ServeSeveralThreadsThatShareThem) {
    const CThreadPool pool = pool_of(3);
    const lockstep_executor executor = executor_of(pool);
    constexpr int rounds = 300, tasks = 40;
    const auto caller = [&executor](std::vector<std::atomic<int>>& runs) {
        for (int round = 0; round < rounds; ++round)
            executor.run(
                executor.context, tasks,
                [](void* argument, std::int32_t i) {
                    ++(*static_cast<std::vector<std::atomic<int>>*>(argument))[static_cast<std::size_t>(i)];
                },
                &runs);
    };
    std::vector<std::vector<std::atomic<int>>> runs(4);
    std::vector<std::thread> callers;
    for (auto& mine : runs) {
        mine = std::vector<std::atomic<int>>(tasks);
        callers.emplace_back(caller, std::ref(mine));
    }
    for (std::thread& one : callers) one.join();
    for (const auto& mine : runs)
        for (const auto& count : mine) EXPECT_EQ(count, rounds);
}

TEST(CThreadPools, MisuseIsAnErrorCode) {
    lockstep_thread_pool* pool = nullptr;
    const auto expect_usage_error = [](int code, const char* words) {
        EXPECT_EQ(code, LOCKSTEP_USAGE_ERROR) << words;
        EXPECT_TRUE(contains(lockstep_message(), words)) << lockstep_message();
    };
    for (const int threads : {0, -1})
        expect_usage_error(lockstep_thread_pool_create(threads, &pool), "at least one thread");
    EXPECT_EQ(pool, nullptr);
    expect_usage_error(lockstep_thread_pool_create(1, nullptr), "NULL");
    lockstep_executor executor{};
    expect_usage_error(lockstep_thread_pool_executor(nullptr, &executor), "NULL");
    expect_usage_error(lockstep_thread_pool_executor(pool_of(1).get(), nullptr), "NULL");

    BothLayers<float> both(1, {});
    Backwards backwards;
    executor = backwards.executor();
    expect_usage_error(lockstep_batch_norm_set_executor(nullptr, &executor), "the layer is NULL");
    executor.run = nullptr;
    expect_usage_error(lockstep_batch_norm_set_executor(both.c(), &executor), "run is NULL");
    executor = backwards.executor();
    executor.threads = nullptr;
    expect_usage_error(lockstep_batch_norm_set_executor(both.c(), &executor), "threads is NULL");
}

}  // namespace
}  // namespace lockstep
