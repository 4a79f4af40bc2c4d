/// `lockstep bench threads`: forward and backward of one replica on several threads against one, beside what copying
/// gains from as many.
#include "benchmark.hpp"
#include "kernel_cases.hpp"

#include <lockstep/base/thread_pool.hpp>
#include <lockstep/norm/sync_batch_norm.hpp>

#include <cstring>
#include <string>

namespace lockstep::launch {
namespace {

/// Copies x and dz, each thread a stretch of both.
void copy(KernelArrays& arrays, Executor& executor) {
    const auto stretches = static_cast<std::size_t>(executor.threads());
    auto one = [&](int i) {
        const std::size_t size = arrays.x.size(), number = static_cast<std::size_t>(i);
        const std::size_t begin = size * number / stretches, end = size * (number + 1) / stretches;
        std::memcpy(arrays.z.data() + begin, arrays.x.data() + begin, (end - begin) * sizeof(float));
        std::memcpy(arrays.dx.data() + begin, arrays.dz.data() + begin, (end - begin) * sizeof(float));
    };
    executor.run(executor.threads(), ExecutorTask::of(one));
}

}  // namespace

std::vector<BenchRow> bench_threads(const Communicator& communicator, int threads) {
    BenchTable table(communicator,
                     "Batch normalization of one replica, float, forward and backward, on " +
                         std::to_string(threads) + " threads of each rank; copy: of two such tensors",
                     {{"shape", 16},
                      {"layout", 8},
                      {"one thread us", 14},
                      {"threads us", 11},
                      {"ratio", 6, 2},
                      {"copy us", 9},
                      {"threads us ", 11},
                      {"ratio ", 6, 2}});
    ThreadPool alone(1), pool(threads);
    for (const KernelCase& one : kernel_cases()) {
        KernelArrays arrays(one);
        SyncBatchNorm<float> layer(one.channels, Communicator::self()),
            spread(one.channels, Communicator::self());
        spread.set_executor(&pool);
        BatchMoments saved;
        const auto step = [&](SyncBatchNorm<float>& chosen) {
            chosen.forward(arrays.x, arrays.z, one.shape, saved);
            chosen.backward(arrays.x, arrays.dz, arrays.dx, one.shape, saved);
        };
        const auto seconds =
            measure(communicator, {[&] { step(layer); }, [&] { step(spread); }, [&] { copy(arrays, alone); },
                                   [&] { copy(arrays, pool); }});
        table.row({one.name(), one.layout(), seconds[0] * 1e6, seconds[1] * 1e6, seconds[1] / seconds[0],
                   seconds[2] * 1e6, seconds[3] * 1e6, seconds[3] / seconds[2]});
    }
    return table.rows();
}

}  // namespace lockstep::launch
