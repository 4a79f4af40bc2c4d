#include "benchmark.hpp"

#include <lockstep/comm/nodes.hpp>

#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

namespace lockstep::launch {
namespace {

using Clock = std::chrono::steady_clock;

/// Seconds that the slowest rank takes for so many repetitions, all starting together. One more before them
/// brings back to the caches what the others have replaced there.
double time_turn(const Communicator& communicator, const std::function<void()>& work, int repetitions) {
    work();
    MPI_Request request = MPI_REQUEST_NULL;
    communicator.check(MPI_Ibarrier(communicator.handle(), &request), "benchmark");
    communicator.wait(request, "benchmark");
    const auto start = Clock::now();
    for (int i = 0; i < repetitions; ++i) work();
    double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    communicator.check(
        MPI_Iallreduce(MPI_IN_PLACE, &seconds, 1, MPI_DOUBLE, MPI_MAX, communicator.handle(), &request),
        "benchmark");
    communicator.wait(request, "benchmark");
    return seconds / repetitions;
}

}  // namespace

std::vector<double> measure(const Communicator& communicator,
                            const std::vector<std::function<void()>>& contestants,
                            const MeasureOptions& options) {
    std::vector<int> repetitions;
    for (const auto& work : contestants) {
        time_turn(communicator, work, 1);  // pages and caches
        const double once = time_turn(communicator, work, 3);
        repetitions.push_back(std::max(1, static_cast<int>(std::lround(options.seconds_per_turn / once))));
    }
    std::vector<std::vector<double>> turns(contestants.size());
    for (int round = 0; round < options.rounds; ++round)
        for (std::size_t i = 0; i < contestants.size(); ++i)
            turns[i].push_back(time_turn(communicator, contestants[i], repetitions[i]));
    std::vector<double> medians;
    for (auto& seconds : turns) {
        const auto middle = seconds.begin() + static_cast<std::ptrdiff_t>(seconds.size() / 2);
        std::nth_element(seconds.begin(), middle, seconds.end());
        medians.push_back(*middle);
    }
    return medians;
}

void write_values(float* values, Index count) {
    std::fill_n(values, count, 1.0F);
}

float read_values(const float* values, Index count) {
    constexpr Index lanes = 16;  // one sum would wait for itself
    float sums[lanes] = {};
    const Index whole = count / lanes * lanes;
    for (Index i = 0; i < whole; i += lanes)
        for (Index lane = 0; lane < lanes; ++lane) sums[lane] += values[i + lane];
    for (Index i = whole; i < count; ++i) sums[0] += values[i];
    return *std::max_element(sums, sums + lanes);
}

std::string ranks_and_nodes(const Communicator& communicator) {
    const int nodes = nodes_of(communicator)->count();
    return std::to_string(communicator.size()) + (communicator.size() == 1 ? " rank on " : " ranks on ") +
           std::to_string(nodes) + (nodes == 1 ? " node" : " nodes");
}

BenchTable::BenchTable(const Communicator& communicator, const std::string& title,
                       std::vector<Column> columns)
    : prints_(communicator.rank() == 0), columns_(std::move(columns)) {
    if (!prints_) return;
    std::printf("\n%s\n", title.c_str());
    for (const Column& column : columns_) std::printf(" %*s", column.width, column.name.c_str());
    std::printf("\n");
}

void BenchTable::row(std::vector<BenchValue> values) {
    BenchRow row;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        const Column& column = columns_[i];
        if (!prints_) {
        } else if (const auto* text = std::get_if<std::string>(&values[i])) {
            std::printf(" %*s", column.width, text->c_str());
        } else if (const auto* whole = std::get_if<std::int64_t>(&values[i])) {
            std::printf(" %*lld", column.width, static_cast<long long>(*whole));
        } else {
            std::printf(" %*.*f", column.width, column.digits, std::get<double>(values[i]));
        }
        row.emplace_back(column.name, std::move(values[i]));
    }
    if (prints_) {
        std::printf("\n");
        std::fflush(stdout);
    }
    rows_.push_back(std::move(row));
}

}  // namespace lockstep::launch
