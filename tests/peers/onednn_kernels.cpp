// Times oneDNN's batch normalization in training, one thread: for each line "N C H W layout" on standard
// input prints the median microseconds of forward and of backward. layout: last, first or blocked (oneDNN's
// own choice).
#include <oneapi/dnnl/dnnl.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <string>
#include <unordered_map>
#include <vector>

using namespace dnnl;
using Clock = std::chrono::steady_clock;

template <class Work>
double median_microseconds(Work work) {
    work();
    const auto begin = Clock::now();
    work();
    const double once = std::chrono::duration<double>(Clock::now() - begin).count();
    const int repetitions = std::max(1, static_cast<int>(2e-3 / once));
    std::vector<double> turns;
    for (int turn = 0; turn < 15; ++turn) {
        const auto start = Clock::now();
        for (int i = 0; i < repetitions; ++i) work();
        turns.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count() /
                        repetitions);
    }
    std::nth_element(turns.begin(), turns.begin() + 7, turns.end());
    return turns[7];
}

int main() {
    engine cpu(engine::kind::cpu, 0);
    stream queue(cpu);
    memory::dim n, c, h, w;
    std::string layout;
    while (std::cin >> n >> c >> h >> w >> layout) {
        using tag = memory::format_tag;
        const tag format = layout == "last" ? tag::nhwc : layout == "first" ? tag::nchw : tag::nChw16c;
        const memory::desc data({n, c, h, w}, memory::data_type::f32, format);
        const memory::desc statistics({c}, memory::data_type::f32, tag::a);
        const auto flags = normalization_flags::use_scale | normalization_flags::use_shift;
        const batch_normalization_forward::primitive_desc forward_desc(
            {prop_kind::forward_training, data, 1e-5F, flags}, cpu);
        const batch_normalization_backward::primitive_desc backward_desc(
            {prop_kind::backward, data, data, 1e-5F, flags}, cpu, forward_desc);
        const auto make = [&](const memory::desc& desc, float value) {
            memory result(desc, cpu);
            auto* const values = static_cast<float*>(result.get_data_handle());
            for (std::size_t i = 0; i < desc.get_size() / sizeof(float); ++i)
                values[i] = value + static_cast<float>(i * 2654435761U % 65536) / 65536;
            return result;
        };
        memory x = make(data, 0), z = make(data, 0), dz = make(data, -0.5F), dx = make(data, 0);
        memory mean = make(statistics, 0), variance = make(statistics, 1), scale = make(statistics, 1),
               shift = make(statistics, 0), scale_gradient = make(statistics, 0),
               shift_gradient = make(statistics, 0);
        const batch_normalization_forward forward(forward_desc);
        const batch_normalization_backward backward(backward_desc);
        const std::unordered_map<int, memory> inputs = {
            {DNNL_ARG_SRC, x},       {DNNL_ARG_DST, z},
            {DNNL_ARG_MEAN, mean},   {DNNL_ARG_VARIANCE, variance},
            {DNNL_ARG_SCALE, scale}, {DNNL_ARG_SHIFT, shift}};
        const std::unordered_map<int, memory> gradients = {{DNNL_ARG_SRC, x},
                                                           {DNNL_ARG_DIFF_DST, dz},
                                                           {DNNL_ARG_DIFF_SRC, dx},
                                                           {DNNL_ARG_MEAN, mean},
                                                           {DNNL_ARG_VARIANCE, variance},
                                                           {DNNL_ARG_SCALE, scale},
                                                           {DNNL_ARG_SHIFT, shift},
                                                           {DNNL_ARG_DIFF_SCALE, scale_gradient},
                                                           {DNNL_ARG_DIFF_SHIFT, shift_gradient}};
        const double forward_time = median_microseconds([&] {
            forward.execute(queue, inputs);
            queue.wait();
        });
        const double backward_time = median_microseconds([&] {
            backward.execute(queue, gradients);
            queue.wait();
        });
        std::printf("%.2f %.2f\n", forward_time, backward_time);
        std::fflush(stdout);
    }
}
