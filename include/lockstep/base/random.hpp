/// Random numbers as a function of (seed, purpose, index), never of who draws them.
///
/// The generator is Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3",
/// SC'11): a keyed bijection of a counter, so that any stream can be started anywhere at no cost. The
/// transforms to uniform and normal values are our own, because those of <random> differ between libraries.
#pragma once

#include <lockstep/base/export.hpp>

#include <array>
#include <cstdint>

namespace lockstep {

/// The bijection under every stream: Philox4x32 with 10 rounds.
LOCKSTEP_EXPORT std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                                        std::array<std::uint32_t, 2> key);

/// What a stream is for; streams of different purposes are independent.
enum class RandomPurpose : std::uint32_t {
    initialization = 1,
    shuffle = 2,
    dropout = 3,
    digits = 4,
    augmentation = 5,
    test_split = 6,
    test = 100,
};

/// One stream of random numbers, fixed by (seed, purpose, index, subindex).
class LOCKSTEP_EXPORT RandomStream {
  public:
    RandomStream(std::uint64_t seed, RandomPurpose purpose, std::uint64_t index, std::uint64_t subindex = 0);

    std::uint32_t next_u32() {
        if (used_ == 4) refill();
        return block_[used_++];
    }
    std::uint64_t next_u64();

    /// Uniform in [0, 1) with 53 random bits.
    double uniform();
    /// Uniform in [low, high).
    double uniform(double low, double high) { return low + (high - low) * uniform(); }
    /// Standard normal (Box–Muller).
    double normal();
    /// Uniform in {0, …, bound − 1}, without bias; bound > 0.
    std::uint64_t below(std::uint64_t bound);

  private:
    void refill();

    std::array<std::uint32_t, 2> key_;
    std::array<std::uint32_t, 4> counter_;
    std::array<std::uint32_t, 4> block_{};
    int used_ = 4;
    double spare_normal_ = 0;
    bool has_spare_normal_ = false;
};

}  // namespace lockstep
