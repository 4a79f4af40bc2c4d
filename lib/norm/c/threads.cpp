// The C interface: threads, as an executor of the caller's or a pool of ours.
#include "handles.hpp"

#include <lockstep/base/thread_pool.hpp>

#include <mutex>
#include <type_traits>

using namespace lockstep;
using namespace lockstep::c_interface;

// Tasks are passed on as they are.
static_assert(std::is_same_v<int, int32_t>);

struct lockstep_thread_pool {
    ThreadPool pool;
    std::mutex in_use{};
};

namespace {

int32_t pool_threads(void* context) {
    return static_cast<lockstep_thread_pool*>(context)->pool.threads();
}

// A pool serves one thread at a time. Who finds it in use, a layer on another communicator say, works alone: the bits
// are the same.
void pool_run(void* context, int32_t tasks, void (*task)(void* argument, int32_t i), void* argument) {
    auto& shared = *static_cast<lockstep_thread_pool*>(context);
    const std::unique_lock<std::mutex> mine(shared.in_use, std::try_to_lock);
    if (mine) {
        shared.pool.run(tasks, {task, argument});
    } else {
        for (int32_t i = 0; i < tasks; ++i) task(argument, i);
    }
}

}  // namespace

int lockstep_batch_norm_set_executor(lockstep_batch_norm* handle, const lockstep_executor* executor) {
    return with_layer(handle, [&](auto& layer) {
        std::unique_ptr<CallersExecutor> adapter;
        if (executor != nullptr) {
            if (executor->threads == nullptr || executor->run == nullptr)
                throw UsageError(std::string("the executor's ") +
                                 (executor->threads == nullptr ? "threads" : "run") + " is NULL");
            adapter = std::make_unique<CallersExecutor>(*executor);
        }
        layer.norm.set_executor(adapter.get());
        layer.executor = std::move(adapter);
    });
}

int lockstep_thread_pool_create(int32_t threads, lockstep_thread_pool** pool) {
    return create(pool, "the place for the thread pool", [&] {
        if (threads < 1)
            throw UsageError("a thread pool needs at least one thread, not " + std::to_string(threads));
        return new lockstep_thread_pool{ThreadPool(threads)};
    });
}

void lockstep_thread_pool_free(lockstep_thread_pool* pool) {
    delete pool;
}

int lockstep_thread_pool_executor(lockstep_thread_pool* pool, lockstep_executor* executor) {
    return guarded([&] {
        deref(executor, "the place for the executor") = {&deref(pool, "the thread pool"), pool_threads,
                                                         pool_run};
    });
}
