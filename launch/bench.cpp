/// `lockstep bench`: how fast kernels, exchanges and training steps are on this machine.
#include "benchmark.hpp"
#include "command.hpp"
#include "options.hpp"

#include <lockstep/base/atomic_file.hpp>
#include <lockstep/base/error.hpp>
#include <lockstep/simd/instruction_set.hpp>

#include <mpi.h>

#include <algorithm>
#include <iostream>
#include <optional>

namespace lockstep::launch {
namespace {

constexpr const char* usage =
    "mpirun -n RANKS lockstep bench WHAT [options]\n"
    "  kernels    batch normalization of one replica, beside reading and copying the same tensors\n"
    "  allreduce  sums over ranks along the fixed tree, beside MPI_Allreduce\n"
    "  step       a training step of a --config: computation, exchanges, and what overlap hides\n"
    "  scaling    samples per second on 1 … RANKS ranks\n";

}  // namespace

void bench_command(const std::vector<std::string>& arguments) {
    namespace po = boost::program_options;
    const Communicator world(MPI_COMM_WORLD);
    po::options_description own("Benchmark");
    own.add_options()("json", po::value<std::string>(), "write the figures to a file, too");
    po::options_description known;
    known.add(own).add(training_options());
    const bool named = !arguments.empty() && !arguments.front().starts_with('-');
    const auto values = parse_arguments({arguments.begin() + (named ? 1 : 0), arguments.end()}, known);
    if (values["help"].as<bool>() || !named) {
        if (world.rank() == 0) std::cout << usage << known << std::flush;
        return;
    }
    // Made before anything is measured: a file that cannot be written must not cost the measurement.
    std::optional<AtomicFile> file;
    if (values.count("json") && world.rank() == 0) file.emplace(values["json"].as<std::string>());
    const std::string& what = arguments.front();
    RunOptions options = to_run_options(values);
    nlohmann::json rows;
    if (what == "kernels")
        rows = bench_kernels(world);
    else if (what == "allreduce")
        rows = bench_allreduce(world);
    else if (what == "step")
        rows = bench_step(world, options);
    else if (what == "scaling")
        rows = bench_scaling(world, options);
    else
        throw UsageError("bench: '" + what + "' is unknown; there are kernels, allreduce, step and scaling");
    if (!file) return;
    file->write(nlohmann::json{{"benchmark", what},
                               {"ranks", world.size()},
                               {"instruction_set", std::string(to_string(active_instruction_set()))},
                               {"rows", rows}}
                    .dump(1) +
                "\n");
    file->commit();
}

}  // namespace lockstep::launch
