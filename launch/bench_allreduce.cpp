/// `lockstep bench allreduce`: one value from each rank summed over all, along the fixed tree and by MPI.
#include "benchmark.hpp"

#include <lockstep/base/aligned_vector.hpp>
#include <lockstep/comm/replica_sum.hpp>

#include <mpi.h>

#include <memory>

namespace lockstep::launch {

nlohmann::json bench_allreduce(const Communicator& communicator) {
    BenchTable table(communicator,
                     "Sums of floats over " + std::to_string(communicator.size()) +
                         " ranks, in place, us; ratio: automatic to MPI_Allreduce",
                     {{"floats", 9},
                      {"bytes", 10},
                      {"short", 9, 2},
                      {"long", 9, 2},
                      {"automatic", 10, 2},
                      {"MPI_Allreduce", 14, 2},
                      {"ratio", 6, 2}});
    const ReplicaMap map(communicator.size(), communicator.size());
    for (Index count = 2; count <= (Index{4} << 20); count *= count < 512 ? 4 : 2) {
        AlignedVector<float> values(static_cast<std::size_t>(count), 0.0F);
        int number = 0;
        const auto sum_of = [&](ExchangeForm form) {
            return std::make_shared<ReplicaSum<float>>(
                communicator, map, std::vector<float*>{values.data()}, count,
                ReplicaSum<float>::Options{.form = form, .number = number++});
        };
        std::vector<std::function<void()>> contestants;
        for (const ExchangeForm form :
             {ExchangeForm::short_form, ExchangeForm::long_form, ExchangeForm::automatic})
            contestants.emplace_back([sum = sum_of(form)] {
                sum->start();
                sum->wait();
            });
        contestants.emplace_back([&] {
            communicator.check(MPI_Allreduce(MPI_IN_PLACE, values.data(), static_cast<int>(count), MPI_FLOAT,
                                             MPI_SUM, communicator.handle()),
                               "benchmark");
        });
        const auto seconds = measure(communicator, contestants);
        table.row({count, count * 4, seconds[0] * 1e6, seconds[1] * 1e6, seconds[2] * 1e6, seconds[3] * 1e6,
                   seconds[2] / seconds[3]});
    }
    return table.rows();
}

}  // namespace lockstep::launch
