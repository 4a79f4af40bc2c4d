/// An executor of OpenMP's threads. Header-only, for programs that are compiled with -fopenmp; the library itself needs
/// no OpenMP.
#pragma once

#include <lockstep/base/executor.hpp>
#include <lockstep/base/export.hpp>

#ifndef _OPENMP
#error \
    "lockstep/base/openmp_executor.hpp: compile with OpenMP (-fopenmp, or target OpenMP::OpenMP_CXX in CMake)"
#endif

#include <omp.h>

namespace lockstep {

/// Runs tasks in a parallel region of its own: not to be used within one.
class OpenMpExecutor final : public Executor {
  public:
    /// As many threads as OMP_NUM_THREADS says.
    OpenMpExecutor() : OpenMpExecutor(omp_get_max_threads()) {}
    explicit OpenMpExecutor(int threads) : threads_(threads < 1 ? 1 : threads) {}

    int threads() const override { return threads_; }

    void run(int tasks, ExecutorTask task) override {
        // Static: from pass to pass the same thread gets the same part of an array.
#pragma omp parallel for schedule(static) num_threads(threads_)
        for (int i = 0; i < tasks; ++i) task(i);
    }

  private:
    int threads_;
};

}  // namespace lockstep
