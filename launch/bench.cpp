/// `lockstep bench`: how fast kernels, exchanges, training steps and inference are on this machine.
#include "benchmark.hpp"
#include "command.hpp"
#include "console.hpp"
#include "options.hpp"

#include <lockstep/base/atomic_file.hpp>
#include <lockstep/base/error.hpp>
#include <lockstep/comm/failure_guard.hpp>
#include <lockstep/comm/nodes.hpp>
#include <lockstep/simd/instruction_set.hpp>

#include <mpi.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace lockstep::launch {
namespace {

constexpr const char* usage =
    "mpirun -n RANKS lockstep bench WHAT [options]\n"
    "  kernels    batch normalization of one replica, beside reading and copying the same tensors\n"
    "  threads    the same on several --threads of each rank, beside what copying gains from them\n"
    "  allreduce  sums over ranks along the fixed tree, beside MPI_Allreduce\n"
    "  exchange   the statistics of a layer: shorter sums, beside MPI_Allreduce\n"
    "  step       a training step of a --config: computation, exchanges, and what overlap hides\n"
    "  infer      inference of a --config's network, with batch norms folded and not\n"
    "  scaling    samples per second on ever more ranks: of one node, then of all\n";

struct BenchOptions {
    RunOptions run;  ///< what a step consists of
    std::filesystem::path json;
    int threads = 2;
};

void add_options(OptionTable& table, BenchOptions& options) {
    table.group("Benchmark");
    table.add("json", options.json, path_as_given(), "write the figures to a file, too", OptionRole::call);
    table.add("threads", options.threads, whole_number(1), "threads of each rank, for bench threads",
              OptionRole::call);
    add_options(table, options.run);
}

std::vector<BenchRow> rows_of(const std::string& what, const BenchOptions& options,
                              const Communicator& world) {
    if (what == "kernels") return bench_kernels(world);
    if (what == "threads") return bench_threads(world, options.threads);
    if (what == "allreduce") return bench_allreduce(world);
    if (what == "exchange") return bench_exchange(world);
    if (what == "step") return bench_step(world, options.run);
    if (what == "infer") return bench_infer(world, options.run);
    if (what == "scaling") return bench_scaling(world, options.run);
    throw UsageError(
        "bench: '" + what +
        "' is unknown; there are kernels, threads, allreduce, exchange, step, infer and scaling");
}

nlohmann::json to_json(const std::vector<BenchRow>& rows) {
    nlohmann::json result = nlohmann::json::array();
    for (const BenchRow& row : rows) {
        nlohmann::json& object = result.emplace_back(nlohmann::json::object());
        for (const auto& [column, value] : row)
            std::visit([&cell = object[column]](const auto& known) { cell = known; }, value);
    }
    return result;
}

void measure(const std::string& what, const BenchOptions& options, const Communicator& world) {
    const int nodes = nodes_of(world)->count();
    // Made before anything is measured: a file that cannot be written must not cost the measurement.
    std::optional<AtomicFile> file;
    if (!options.json.empty() && world.rank() == 0) file.emplace(options.json);
    const std::vector<BenchRow> rows = rows_of(what, options, world);
    if (!file) return;
    file->write(nlohmann::json{{"benchmark", what},
                               {"ranks", world.size()},
                               {"nodes", nodes},
                               {"instruction_set", std::string(to_string(active_instruction_set()))},
                               {"rows", to_json(rows)}}
                    .dump(1) +
                "\n");
    file->commit();
}

}  // namespace

void bench_command(const std::vector<std::string>& arguments) {
    BenchOptions options;
    OptionTable table = table_of(options);
    const bool named = !arguments.empty() && !arguments.front().starts_with('-');
    read_arguments({arguments.begin() + (named ? 1 : 0), arguments.end()}, table, options.run);
    if (options.run.help || !named) return print_once(usage + table.help());
    const Communicator world(MPI_COMM_WORLD);
    // The file is rank 0's alone.
    or_announce(world, [&] { measure(arguments.front(), options, world); });
}

}  // namespace lockstep::launch
