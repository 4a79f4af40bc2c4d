/// A pseudo-random order of 0 … n − 1 that is computed, not stored: position → element and back, in no memory.
///
/// A Feistel network over the mixed radix a × b ≥ n with a ≈ b ≈ √n: an element is (l, r) = (v div b, v mod b), and
/// rounds take turns in
///
///     l ← (l + F(r)) mod a        r ← (r + G(l)) mod b
///
/// with functions F, G, … that hang on the key, more of them for small n, which mix slowly; each is undone by subtracting. Elements that land in n … ab − 1 are put
/// through again ("cycle walking": Black, Rogaway: "Ciphers with arbitrary finite domains", CT-RSA 2002); since
/// ab − n < b that is rare. Not cryptographic: it shuffles.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/base/random.hpp>

#include <cstdint>
#include <vector>

namespace lockstep {

class LOCKSTEP_EXPORT KeyedBijection {
  public:
    /// The key is drawn from the stream. Throws UsageError unless 1 ≤ size ≤ 2⁶².
    KeyedBijection(std::uint64_t size, RandomStream key);

    std::uint64_t size() const { return size_; }
    /// The element at a position below size().
    std::uint64_t operator()(std::uint64_t position) const;
    /// The position of an element below size().
    std::uint64_t inverse(std::uint64_t element) const;

  private:
    std::uint64_t forward(std::uint64_t value) const;
    std::uint64_t backward(std::uint64_t value) const;

    std::uint64_t size_;
    std::uint64_t rows_;               // a
    std::uint64_t columns_;            // b
    std::vector<std::uint64_t> keys_;  // one for each round, an even number
};

}  // namespace lockstep
