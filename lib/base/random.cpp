#include <lockstep/base/random.hpp>

#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

namespace lockstep {
namespace {

/// The finalizer of splitmix64: spreads any change of its input over all 64 bits.
std::uint64_t mix(std::uint64_t value) {
    value += 0x9e3779b97f4a7c15ULL;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
    return value ^ (value >> 31);
}

}  // namespace

std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key) {
    constexpr std::uint64_t multiplier0 = 0xD2511F53, multiplier1 = 0xCD9E8D57;
    constexpr std::uint32_t weyl0 = 0x9E3779B9, weyl1 = 0xBB67AE85;
    auto [c0, c1, c2, c3] = counter;
    auto [k0, k1] = key;
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t product0 = multiplier0 * c0, product1 = multiplier1 * c2;
        c0 = static_cast<std::uint32_t>(product1 >> 32) ^ c1 ^ k0;
        c1 = static_cast<std::uint32_t>(product1);
        c2 = static_cast<std::uint32_t>(product0 >> 32) ^ c3 ^ k1;
        c3 = static_cast<std::uint32_t>(product0);
        k0 += weyl0;
        k1 += weyl1;
    }
    return {c0, c1, c2, c3};
}

RandomStream::RandomStream(std::uint64_t seed, RandomPurpose purpose, std::uint64_t index,
                           std::uint64_t subindex) {
    const std::uint64_t key = mix(mix(seed) + static_cast<std::uint64_t>(purpose)) ^ mix(~subindex);
    key_ = {static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)};
    counter_ = {0, 0, static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32)};
}

void RandomStream::refill() {
    block_ = philox4x32(counter_, key_);
    used_ = 0;
    if (++counter_[0] == 0) ++counter_[1];
}

std::uint64_t RandomStream::next_u64() {
    const std::uint64_t low = next_u32();
    return low | (static_cast<std::uint64_t>(next_u32()) << 32);
}

double RandomStream::uniform() {
    return static_cast<double>(next_u64() >> 11) * 0x1p-53;
}

double RandomStream::normal() {
    if (has_spare_normal_) {
        has_spare_normal_ = false;
        return spare_normal_;
    }
    const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));  // 1 − u lies in (0, 1]
    const double angle = 2.0 * std::numbers::pi * uniform();
    spare_normal_ = radius * std::sin(angle);
    has_spare_normal_ = true;
    return radius * std::cos(angle);
}

std::uint64_t RandomStream::below(std::uint64_t bound) {
    const std::uint64_t rejected =
        (0 - bound) % bound;  // 2^64 mod bound: values below would be over-represented
    std::uint64_t value = next_u64();
    while (value < rejected) value = next_u64();
    return value % bound;
}

}  // namespace lockstep
