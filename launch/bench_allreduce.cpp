/// `lockstep bench allreduce`: one value from each rank summed over all, along the fixed tree and by MPI.
#include "benchmark.hpp"

#include <lockstep/base/aligned_vector.hpp>
#include <lockstep/comm/gradient_sum.hpp>
#include <lockstep/comm/node_memory.hpp>
#include <lockstep/comm/nodes.hpp>
#include <lockstep/comm/replica_sum.hpp>

#include <mpi.h>

#include <algorithm>
#include <memory>
#include <optional>

namespace lockstep::launch {
namespace {

/// The ways to sum `count` values of each rank, and at last none: writing and reading them alone.
std::vector<std::function<void()>> contestants(const Communicator& communicator, Index count,
                                               float* const values, volatile float& sink) {
    const ReplicaMap map(communicator.size(), communicator.size());
    std::vector<std::function<void()>> all;
    for (const ExchangeForm form :
         {ExchangeForm::short_form, ExchangeForm::long_form, ExchangeForm::automatic})
        all.emplace_back([=, &sink,
                          sum = std::make_shared<ReplicaSum<float>>(
                              communicator, parties_of(map), std::vector<float*>{values}, values, count,
                              next_sum(communicator), nullptr, ReplicaSum<float>::Options{.form = form})] {
            write_values(values, count);
            sum->start();
            sum->wait();
            sink = read_values(values, count);
        });
    all.emplace_back([=, &sink] {
        write_values(values, count);
        communicator.check(MPI_Allreduce(MPI_IN_PLACE, values, static_cast<int>(count), MPI_FLOAT, MPI_SUM,
                                         communicator.handle()),
                           "benchmark");
        sink = read_values(values, count);
    });
    all.emplace_back([=, &sink] {
        write_values(values, count);
        sink = read_values(values, count);
    });
    const std::shared_ptr<GradientSum<float>> sum = GradientSum<float>::create(communicator, map, count);
    all.emplace_back([=, &sink] {
        write_values(sum->cover().front(), count);
        sink = read_values(sum->finish(), count);
    });
    return all;
}

void meet(const Communicator& communicator) {
    communicator.check(MPI_Barrier(communicator.handle()), "benchmark");
}

/// What no sum through memory can do without, whoever adds, as long as the caches hold the values: 2 (P - 1) / P of them
/// must come from the cores that have written them, first the parts of a sum, then sums; and what another core has read
/// is written. (Beyond the caches a sum in pieces may be faster.) It takes two meetings, which are not part of it.
std::function<void()> fetching(const Communicator& communicator, const NodeMemory& memory, Index count,
                               volatile float& sink) {
    return [&, count] {
        const auto block = [&](int rank) { return reinterpret_cast<float*>(memory.block(rank)); };
        const int ranks = communicator.size(), rank = communicator.rank();
        write_values(block(rank), count);
        meet(communicator);
        for (int other = 0; other < ranks; ++other) {
            if (other == rank) continue;
            const Index part = 2 * count / ranks, begin = std::min(rank * part, count - part);
            sink = read_values(block(other) + begin, part);
        }
        meet(communicator);
    };
}

/// For up to so many values, where all ranks are one node and share memory. Collective.
std::optional<NodeMemory> memory_of_all(const Communicator& communicator, Index count) {
    if (communicator.size() == 1 || nodes_of(communicator)->count() > 1) return std::nullopt;
    return NodeMemory::allocate(communicator, static_cast<std::size_t>(count) * sizeof(float));
}

}  // namespace

std::vector<BenchRow> bench_allreduce(const Communicator& communicator) {
    constexpr Index most = Index{4} << 20;
    const ReplicaMap map(communicator.size(), communicator.size());
    const std::optional<NodeMemory> memory = memory_of_all(communicator, most);
    std::vector<BenchTable::Column> columns{
        {"floats", 9},        {"bytes", 10},   {"MPI_Allreduce", 14, 2},  {"short", 9, 2}, {"long", 9, 2},
        {"automatic", 10, 2}, {"ratio", 6, 2}, {"as in training", 15, 2}, {"ratio ", 6, 2}};
    std::string title = "Sums of floats over " + ranks_and_nodes(communicator) +
                        " that each rank writes and of which it reads the result, less the time of writing "
                        "and reading, us; short, long, automatic: each rank by itself; as in training: " +
                        GradientSum<float>::create(communicator, map, 1)->path() +
                        "; ratios: to MPI_Allreduce";
    if (memory) {
        columns.push_back({"fetching", 9, 2});
        title +=
            "; fetching: reading alone from the cores that have written, the least for a sum of what caches "
            "hold";
    }
    BenchTable table(communicator, title, columns);
    for (Index count = 2; count <= most; count *= count < 512 ? 4 : 2) {
        AlignedVector<float> values(static_cast<std::size_t>(count));
        volatile float sink = 0;
        auto all = contestants(communicator, count, values.data(), sink);
        if (memory) {
            all.push_back(fetching(communicator, *memory, count, sink));
            all.emplace_back([&] {
                meet(communicator);
                meet(communicator);
            });
        }
        const auto seconds = measure(communicator, all);
        const auto us = [&](std::size_t i) { return (seconds[i] - seconds[4]) * 1e6; };
        std::vector<BenchValue> row{count, count * 4, us(3), us(0), us(1), us(2), us(2) / us(3)};
        row.insert(row.end(), {us(5), us(5) / us(3)});
        if (memory) row.emplace_back(us(6) - seconds[7] * 1e6);
        table.row(std::move(row));
    }
    return table.rows();
}

}  // namespace lockstep::launch
