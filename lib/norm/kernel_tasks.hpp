/// How the kernels' work is cut into tasks for several threads: by shape alone.
#pragma once

#include "kernel_layout.hpp"
#include "kernel_table.hpp"

namespace lockstep::LOCKSTEP_SET {

/// Values of a task. So many take a core several times as long as it takes to hand them over.
constexpr Index values_of_task = 32768;

/// Calls run(begin, end) for stretches of 0 … count − 1, each of about values_of_task values if one of the count has
/// `values`: on the threads if there are any and enough is to be done.
template <class Run>
inline void for_stretches(const KernelThreads& threads, Index count, Index values, const Run& run) {
    const Index size = values < values_of_task ? (values_of_task + values - 1) / values : 1;
    if (threads.team == nullptr || count <= size) return run(0, count);
    struct Argument {
        const Run* run;
        Index count, size;
    } argument{&run, count, size};
    const auto task = [](void* given, int number) {
        const auto& all = *static_cast<const Argument*>(given);
        const Index begin = number * all.size;
        (*all.run)(begin, smaller(begin + all.size, all.count));
    };
    threads.run(threads.team, static_cast<int>((count + size - 1) / size), task, &argument);
}

}  // namespace lockstep::LOCKSTEP_SET
