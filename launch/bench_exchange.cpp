/// `lockstep bench exchange`: the short sums that the statistics of a layer are, through memory, by messages, by MPI.
#include "benchmark.hpp"

#include <lockstep/base/aligned_vector.hpp>
#include <lockstep/comm/tree_exchange.hpp>

#include <mpi.h>

#include <algorithm>
#include <memory>

namespace lockstep::launch {
namespace {

/// One array of each rank, summed along the tree: through memory if the communicator shares it.
std::function<void()> exchange_of(const Communicator& communicator, Index count) {
    const ReplicaMap map(communicator.size(), communicator.size());
    const auto values = static_cast<std::size_t>(count);
    return [count, label = ExchangeLabel("benchmark", ExchangeKind::backward_sums, count, 8),
            exchange = std::make_shared<TreeExchange>(communicator, map, map.all(), values,
                                                      sum_merge(values))]() mutable {
        std::fill_n(exchange->leaf(0), count, 1.0);
        exchange->push(0);
        ++label.call;
        exchange->start(label);
        exchange->wait();
    };
}

std::function<void()> all_reduce_of(const Communicator& communicator, Index count) {
    return [count, &communicator, values = AlignedVector<double>(static_cast<std::size_t>(count))]() mutable {
        std::fill_n(values.data(), count, 1.0);
        communicator.check(MPI_Allreduce(MPI_IN_PLACE, values.data(), static_cast<int>(count), MPI_DOUBLE,
                                         MPI_SUM, communicator.handle()),
                           "benchmark");
    };
}

}  // namespace

std::vector<BenchRow> bench_exchange(const Communicator& communicator) {
    const Communicator messages = communicator.split(0, communicator.rank());
    share_exchange_memory(communicator);
    BenchTable table(communicator,
                     "Statistics of a layer: sums of doubles over " + ranks_and_nodes(communicator) +
                         " that each rank writes before, us; ratio: to MPI_Allreduce",
                     {{"bytes", 9},
                      {"MPI_Allreduce", 14, 2},
                      {"messages", 9, 2},
                      {"in training", 12, 2},
                      {"ratio", 6, 2}});
    for (Index bytes = 128; bytes <= 128 * 1024; bytes *= 2) {
        const Index count = bytes / 8;
        const auto seconds =
            measure(communicator, {all_reduce_of(communicator, count), exchange_of(messages, count),
                                   exchange_of(communicator, count)});
        table.row({bytes, seconds[0] * 1e6, seconds[1] * 1e6, seconds[2] * 1e6, seconds[2] / seconds[0]});
    }
    return table.rows();
}

}  // namespace lockstep::launch
