/// `lockstep bench exchange`: the short sums that the statistics of a layer are, through memory, by messages, by MPI.
#include "benchmark.hpp"

#include <lockstep/base/aligned_vector.hpp>
#include <lockstep/comm/tree_exchange.hpp>

#include <mpi.h>

#include <algorithm>
#include <memory>
#include <numeric>

namespace lockstep::launch {
namespace {

void write_doubles(double* values, Index count) {
    std::fill_n(values, count, 1.0);
}

double read_doubles(const double* values, Index count) {
    return std::accumulate(values, values + count, 0.0);
}

/// One value of each rank, summed along the tree: through memory if the communicator shares it.
std::function<void()> exchange_of(const Communicator& communicator, Index count, volatile double& sink) {
    const ReplicaMap map(communicator.size(), communicator.size());
    const auto values = static_cast<std::size_t>(count);
    return [count, &sink, label = ExchangeLabel("benchmark", ExchangeKind::backward_sums, count, 8),
            exchange = std::make_shared<TreeExchange>(communicator, map, map.all(), values,
                                                      sum_merge(values))]() mutable {
        write_doubles(exchange->leaf(0), count);
        exchange->push(0);
        ++label.call;
        exchange->start(label);
        sink = read_doubles(exchange->wait(), count);
    };
}

std::vector<std::function<void()>> contestants(const Communicator& memory, const Communicator& messages,
                                               Index count, double* values, volatile double& sink) {
    return {exchange_of(memory, count, sink), exchange_of(messages, count, sink),
            [=, &memory, &sink] {
                write_doubles(values, count);
                memory.check(MPI_Allreduce(MPI_IN_PLACE, values, static_cast<int>(count), MPI_DOUBLE, MPI_SUM,
                                           memory.handle()),
                             "benchmark");
                sink = read_doubles(values, count);
            },
            [=, &sink] {
                write_doubles(values, count);
                sink = read_doubles(values, count);
            }};
}

}  // namespace

nlohmann::json bench_exchange(const Communicator& communicator) {
    const Communicator messages = communicator.split(0, communicator.rank());
    share_exchange_memory(communicator);
    BenchTable table(communicator,
                     "Statistics of a layer: sums of doubles over " + std::to_string(communicator.size()) +
                         " ranks, less the time of writing and reading them, us; ratio: to MPI_Allreduce",
                     {{"bytes", 9},
                      {"MPI_Allreduce", 14, 2},
                      {"messages", 9, 2},
                      {"in training", 12, 2},
                      {"ratio", 6, 2}});
    for (Index bytes = 128; bytes <= 128 * 1024; bytes *= 2) {
        const Index count = bytes / 8;
        AlignedVector<double> values(static_cast<std::size_t>(count));
        volatile double sink = 0;
        const auto seconds =
            measure(communicator, contestants(communicator, messages, count, values.data(), sink));
        const auto us = [&](std::size_t i) { return (seconds[i] - seconds[3]) * 1e6; };
        table.row({bytes, us(2), us(1), us(0), us(0) / us(2)});
    }
    return table.rows();
}

}  // namespace lockstep::launch
