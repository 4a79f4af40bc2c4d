// Prints the instruction sets in use (of kernels and of products) and a hash of what the kernels compute, for
// instruction_set_test.cpp.
//
//     print_kernel_bits [limit|limit-products SET]...    narrows the choice first
#include <lockstep/base/hash.hpp>
#include <lockstep/norm/kernels.hpp>
#include <lockstep/norm/moments.hpp>
#include <lockstep/simd/instruction_set.hpp>

#include "support/batch_norm_reference.hpp"

#include <cstdio>
#include <exception>
#include <string>
#include <vector>

namespace {

using namespace lockstep;

template <class Scalar>
void add_kernels(Hash64& hash, Index channels, const BatchShape& shape) {
    const auto size = static_cast<std::size_t>(channels),
               values = size * static_cast<std::size_t>(shape.values());
    const auto x = testing::normal_values<Scalar>(values, 3.0, 2.0, 1);
    const auto dz = testing::normal_values<Scalar>(values, 0.1, 1.0, 2);
    const auto shift = testing::normal_values<Scalar>(size, 3.0, 0.1, 3);
    const auto scale = testing::normal_values<Scalar>(size, 1.0, 0.3, 4);
    const auto offset = testing::normal_values<Scalar>(size, 0.0, 0.5, 5);
    std::vector<double> moments(static_cast<std::size_t>(moments_size(channels))), sums(2 * size);
    std::vector<Scalar> z(values), dx(values);
    const NormalizeCoefficients<Scalar> forward{shift.data(), scale.data(), offset.data()};
    batch_moments(x.data(), channels, shape, moments.data());
    hash.add(std::as_bytes(std::span(moments)));
    for (const Activation activation : {Activation::none, Activation::relu}) {
        normalize(x.data(), z.data(), channels, shape, forward, activation);
        gradient_sums(x.data(), dz.data(), channels, shape, forward, activation, sums.data());
        input_gradient(x.data(), dz.data(), dx.data(), channels, shape,
                       {forward, scale.data(), offset.data(), offset.data()}, activation);
        hash.add(std::as_bytes(std::span(sums)));
        hash.add(std::as_bytes(std::span(z)));
        hash.add(std::as_bytes(std::span(dx)));
    }
}

}  // namespace

int main(int argc, char** argv) {
    try {
        for (int i = 1; i + 1 < argc; i += 2) {
            const InstructionSet widest = instruction_set_named(argv[i + 1]);
            if (std::string(argv[i]) == "limit")
                limit_instruction_set(widest);
            else
                limit_product_instruction_set(widest);
        }
        Hash64 hash;
        for (const ChannelOrder order : {ChannelOrder::last, ChannelOrder::first})
            for (const Index channels : {1, 3, 17, 64, 300, 2050})
                for (const Index batch : {1, 7, 33})
                    for (const Index spatial : {1, 19}) {
                        add_kernels<float>(hash, channels, {batch, spatial, order});
                        add_kernels<double>(hash, channels, {batch, spatial, order});
                    }
        for (const ChannelOrder order : {ChannelOrder::last, ChannelOrder::first})
            add_kernels<float>(hash, 17, {150, 900, order});  // streamed
        std::printf("%s %s %s\n", std::string(to_string(active_instruction_set())).c_str(),
                    std::string(to_string(product_instruction_set())).c_str(),
                    to_hex16(hash.value()).c_str());
        return 0;
    } catch (const std::exception& error) {
        std::puts(error.what());
        return 1;
    }
}
