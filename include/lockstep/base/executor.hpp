/// Threads that belong to the caller, and that the library may spread its loops over.
///
/// The library cuts its work by shape alone, never by how many threads there are: the same bits with one, eight, or
/// no executor. thread_pool.hpp is an executor of std::threads, openmp_executor.hpp one of OpenMP's.
#pragma once

#include <lockstep/base/export.hpp>

namespace lockstep {

/// A function of a task's number. Refers to a callable, which outlives it; whoever runs it copies nothing.
struct ExecutorTask {
    void (*function)(void* argument, int number);
    void* argument;

    void operator()(int number) const { function(argument, number); }

    template <class Callable>
    static ExecutorTask of(Callable& callable) {
        return {[](void* callee, int number) { (*static_cast<Callable*>(callee))(number); }, &callable};
    }
};

class LOCKSTEP_EXPORT Executor {
  public:
    virtual ~Executor() = default;

    /// How many tasks can run at the same time; 1 or more.
    virtual int threads() const = 0;
    /// Calls task(i) once for each i from 0 to tasks − 1, on any threads and in any order, and returns when all have
    /// ended. What the tasks have written is visible to the caller then. Tasks throw nothing and run no tasks of
    /// their own.
    virtual void run(int tasks, ExecutorTask task) = 0;
};

}  // namespace lockstep
