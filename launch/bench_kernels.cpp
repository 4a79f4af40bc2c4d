/// `lockstep bench kernels`: forward and backward of one replica, against reading and copying as much memory.
#include "benchmark.hpp"

#include <lockstep/base/aligned_vector.hpp>
#include <lockstep/norm/sync_batch_norm.hpp>
#include <lockstep/simd/instruction_set.hpp>

#include <cstring>

namespace lockstep::launch {
namespace {

struct KernelCase {
    Index batch, height, width, channels;

    Index values() const { return batch * height * width * channels; }
    std::string name() const {
        std::string text = std::to_string(batch).append("x").append(std::to_string(channels));
        if (height * width > 1)
            text.append("x").append(std::to_string(height)).append("x").append(std::to_string(width));
        return text;
    }
};

constexpr KernelCase cases[] = {{64, 1, 1, 300},   {256, 1, 1, 1024}, {1024, 1, 1, 4096}, {32, 56, 56, 64},
                                {32, 14, 14, 256}, {128, 32, 32, 16}, {128, 31, 31, 17}};

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

nlohmann::json bench_kernels(const Communicator& communicator) {
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
    for (const KernelCase& one : cases)
        for (const ChannelOrder order : {ChannelOrder::last, ChannelOrder::first}) {
            const Index spatial = one.height * one.width;
            if (spatial == 1 && order == ChannelOrder::first) continue;
            const auto size = static_cast<std::size_t>(one.values());
            AlignedVector<float> x(size), z(size), dz(size), dx(size);
            for (std::size_t i = 0; i < size; ++i) {
                x[i] = static_cast<float>(i * 2654435761U % 65536) / 65536;
                dz[i] = static_cast<float>(i * 2246822519U % 65536) / 65536 - 0.5F;
            }
            SyncBatchNorm<float> layer(one.channels, Communicator::self());
            BatchMoments saved;
            const BatchShape shape{one.batch, spatial, order};
            const auto seconds =
                measure(communicator, {[&] { layer.forward(x.data(), z.data(), shape, saved); },
                                       [&] {
                                           read(x);
                                           copy(z, x);
                                       },
                                       [&] { layer.backward(x.data(), dz.data(), dx.data(), shape, saved); },
                                       [&] {
                                           read(x);
                                           read(dz);
                                           copy(dx, dz);
                                           read(x);
                                       }});
            const double bytes = static_cast<double>(size) * sizeof(float);
            table.row({one.name(),
                       spatial == 1                  ? "dense"
                       : order == ChannelOrder::last ? "last"
                                                     : "first",
                       seconds[0] * 1e6, seconds[1] * 1e6, seconds[0] / seconds[1],
                       3 * bytes / seconds[0] / 1e9, seconds[2] * 1e6, seconds[3] * 1e6,
                       seconds[2] / seconds[3], 5 * bytes / seconds[2] / 1e9});
        }
    return table.rows();
}

}  // namespace lockstep::launch
