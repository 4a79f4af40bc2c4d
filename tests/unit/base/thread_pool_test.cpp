// Executors: every task once, and its result there when run returns.
#include <lockstep/base/thread_pool.hpp>

#ifdef _OPENMP
#include <lockstep/base/openmp_executor.hpp>
#endif

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <vector>

namespace lockstep {
namespace {

void expect_each_task_once(Executor& executor, int rounds) {
    std::vector<int> runs(100);  // plain numbers: what tasks write is visible afterwards
    std::vector<int> expected(100);
    for (int round = 0; round < rounds; ++round) {
        const int tasks = round % 101;
        auto task = [&](int i) { ++runs[static_cast<std::size_t>(i)]; };
        executor.run(tasks, ExecutorTask::of(task));
        std::for_each_n(expected.begin(), tasks, [](int& count) { ++count; });
        ASSERT_EQ(runs, expected) << "round " << round << ", " << tasks << " tasks";
    }
}

TEST(ThreadPool, RunsEachTaskOnce) {
    for (const int threads : {1, 2, 3, 8})
        for (const int patience : {0, 50}) {
            ThreadPool pool(threads, std::chrono::microseconds(patience));
            EXPECT_EQ(pool.threads(), threads);
            expect_each_task_once(pool, 505);
        }
}

TEST(ThreadPool, ThatHasNothingToDoEnds) {
    const ThreadPool never_used(4);
    ThreadPool one(0);
    EXPECT_EQ(one.threads(), 1) << "the caller is always there";
}

#ifdef _OPENMP
TEST(OpenMpExecutor, RunsEachTaskOnce) {
    for (const int threads : {1, 2, 3}) {
        OpenMpExecutor executor(threads);
        EXPECT_EQ(executor.threads(), threads);
        expect_each_task_once(executor, 202);
    }
    EXPECT_GE(OpenMpExecutor().threads(), 1);
}
#endif

}  // namespace
}  // namespace lockstep
