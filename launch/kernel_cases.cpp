#include "kernel_cases.hpp"

#include <cstdint>

namespace lockstep::launch {

std::string KernelCase::name() const {
    std::string text = std::to_string(shape.batch).append("x").append(std::to_string(channels));
    if (shape.spatial > 1)
        text.append("x").append(std::to_string(height)).append("x").append(std::to_string(width));
    return text;
}

std::string KernelCase::layout() const {
    if (shape.spatial == 1) return "dense";
    return shape.order == ChannelOrder::last ? "last" : "first";
}

std::vector<KernelCase> kernel_cases() {
    struct Extents {
        Index batch, height, width, channels;
    };
    constexpr Extents all[] = {{64, 1, 1, 300},   {256, 1, 1, 1024}, {1024, 1, 1, 4096}, {32, 56, 56, 64},
                               {32, 14, 14, 256}, {128, 32, 32, 16}, {128, 31, 31, 17}};
    std::vector<KernelCase> cases;
    for (const Extents& one : all)
        for (const ChannelOrder order : {ChannelOrder::last, ChannelOrder::first}) {
            const Index spatial = one.height * one.width;
            if (spatial == 1 && order == ChannelOrder::first) continue;
            cases.push_back({one.channels, one.height, one.width, {one.batch, spatial, order}});
        }
    return cases;
}

KernelArrays::KernelArrays(const KernelCase& one) {
    const auto size = static_cast<std::size_t>(one.shape.values() * one.channels);
    for (auto* values : {&x, &z, &dz, &dx}) values->resize(size);
    for (std::size_t i = 0; i < size; ++i) {
        x[i] = static_cast<float>(i * 2654435761U % 65536) / 65536;
        dz[i] = static_cast<float>(i * 2246822519U % 65536) / 65536 - 0.5F;
    }
}

}  // namespace lockstep::launch
