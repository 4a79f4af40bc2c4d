/// How all of `lockstep bench` measures: contestants take turns within one run, after a warm-up; all ranks
/// start together and the slowest counts; of many turns the median is reported.
#pragma once

#include <lockstep/base/shape.hpp>
#include <lockstep/comm/communicator.hpp>

#include <nlohmann/json.hpp>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace lockstep::launch {

struct RunOptions;

struct MeasureOptions {
    int rounds = 21;
    double seconds_per_turn = 2e-3;  ///< short work is repeated to fill this
};

/// The median seconds of each contestant. Collective.
std::vector<double> measure(const Communicator& communicator,
                            const std::vector<std::function<void()>>& contestants,
                            const MeasureOptions& options = {});

/// Writes values as backward does: after it they are in the caches of this core, and in nobody else's.
void write_values(float* values, Index count);
/// Reads values as the optimizer does. Returns something that depends on all of them.
float read_values(const float* values, Index count);

/// Such as "8 ranks on 2 nodes". Collective.
std::string ranks_and_nodes(const Communicator& communicator);

/// A table on rank 0's standard output, and the same rows for --json.
class BenchTable {
  public:
    /// `digits` after the point, by column; text columns ignore it.
    struct Column {
        std::string name;
        int width;
        int digits = 1;
    };

    BenchTable(const Communicator& communicator, const std::string& title, std::vector<Column> columns);

    /// One value for each column: a string or a number.
    void row(std::vector<nlohmann::json> values);
    const nlohmann::json& rows() const { return rows_; }

  private:
    bool prints_;
    std::vector<Column> columns_;
    nlohmann::json rows_ = nlohmann::json::array();
};

/// Each runs one benchmark and returns its rows.
nlohmann::json bench_kernels(const Communicator& communicator);
nlohmann::json bench_threads(const Communicator& communicator, int threads);
nlohmann::json bench_allreduce(const Communicator& communicator);
nlohmann::json bench_exchange(const Communicator& communicator);
nlohmann::json bench_step(const Communicator& communicator, const RunOptions& options);
nlohmann::json bench_infer(const Communicator& communicator, const RunOptions& options);
nlohmann::json bench_scaling(const Communicator& communicator, const RunOptions& options);

}  // namespace lockstep::launch
