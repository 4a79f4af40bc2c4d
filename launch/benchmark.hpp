/// How all of `lockstep bench` measures: contestants take turns within one run, after a warm-up; all ranks
/// start together and the slowest counts; of many turns the median is reported.
#pragma once

#include <lockstep/base/shape.hpp>
#include <lockstep/comm/communicator.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <variant>
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

using BenchValue = std::variant<std::string, std::int64_t, double>;
/// Each with the name of its column.
using BenchRow = std::vector<std::pair<std::string, BenchValue>>;

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

    /// One value for each column.
    void row(std::vector<BenchValue> values);
    const std::vector<BenchRow>& rows() const { return rows_; }

  private:
    bool prints_;
    std::vector<Column> columns_;
    std::vector<BenchRow> rows_;
};

/// Each runs one benchmark and returns its rows.
std::vector<BenchRow> bench_kernels(const Communicator& communicator);
std::vector<BenchRow> bench_threads(const Communicator& communicator, int threads);
std::vector<BenchRow> bench_allreduce(const Communicator& communicator);
std::vector<BenchRow> bench_exchange(const Communicator& communicator);
std::vector<BenchRow> bench_step(const Communicator& communicator, const RunOptions& options);
std::vector<BenchRow> bench_infer(const Communicator& communicator, const RunOptions& options);
std::vector<BenchRow> bench_scaling(const Communicator& communicator, const RunOptions& options);

}  // namespace lockstep::launch
