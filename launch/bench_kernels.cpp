/// `lockstep bench kernels`: forward and backward of one replica, against reading and copying as much memory.
#include "benchmark.hpp"
#include "kernel_cases.hpp"

#include <lockstep/norm/sync_batch_norm.hpp>
#include <lockstep/simd/instruction_set.hpp>

#include <cstring>

namespace lockstep::launch {
namespace {

/// Reads everything and does next to nothing with it. Not a plain sum of floats, which must go one by one.
void read(const AlignedVector<float>& values) {
    constexpr std::size_t lanes = 128;
    std::uint32_t bits[lanes] = {};
    const float* const data = values.data();
    for (std::size_t i = 0; i + lanes <= values.size(); i += lanes) {
        std::uint32_t words[lanes];
        std::memcpy(words, data + i, sizeof words);
        for (std::size_t lane = 0; lane < lanes; ++lane) bits[lane] ^= words[lane];
    }
    std::uint32_t all = 0;
    for (const std::uint32_t lane : bits) all ^= lane;
    volatile std::uint32_t sink = all;
    static_cast<void>(sink);
}

void copy(AlignedVector<float>& to, const AlignedVector<float>& from) {
    std::memcpy(to.data(), from.data(), from.size() * sizeof(float));
}

}  // namespace

std::vector<BenchRow> bench_kernels(const Communicator& communicator) {
    BenchTable table(communicator,
                     "Batch normalization of one replica, float, " +
                         std::string(to_string(active_instruction_set())) +
                         "; limit: forward one read and one copy, backward two reads, a copy and a read",
                     {{"shape", 16},
                      {"layout", 8},
                      {"forward us", 11},
                      {"limit us", 9},
                      {"ratio", 6, 2},
                      {"GB/s", 6},
                      {"backward us", 12},
                      {"limit us ", 9},
                      {"ratio ", 6, 2},
                      {"GB/s ", 6}});
    for (const KernelCase& one : kernel_cases()) {
        KernelArrays a(one);
        SyncBatchNorm<float> layer(one.channels, Communicator::self());
        BatchMoments saved;
        const auto seconds =
            measure(communicator, {[&] { layer.forward(a.x, a.z, one.shape, saved); },
                                   [&] {
                                       read(a.x);
                                       copy(a.z, a.x);
                                   },
                                   [&] { layer.backward(a.x, a.dz, a.dx, one.shape, saved); },
                                   [&] {
                                       read(a.x);
                                       read(a.dz);
                                       copy(a.dx, a.dz);
                                       read(a.x);
                                   }});
        const double bytes = static_cast<double>(a.x.size()) * sizeof(float);
        table.row({one.name(), one.layout(), seconds[0] * 1e6, seconds[1] * 1e6, seconds[0] / seconds[1],
                   3 * bytes / seconds[0] / 1e9, seconds[2] * 1e6, seconds[3] * 1e6, seconds[2] / seconds[3],
                   5 * bytes / seconds[2] / 1e9});
    }
    return table.rows();
}

}  // namespace lockstep::launch
