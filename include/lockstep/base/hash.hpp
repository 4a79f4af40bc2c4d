/// A fast 64-bit hash of a sequence of bytes, for fingerprints and for comparing what ranks hold.
///
/// Not cryptographic: it tells accidents apart, not attacks. The bytes are read as little-endian 64-bit words
/// w, the last one filled up with zeros; with odd constants A, B, C and the number n of bytes,
///
///     h ← rotate_left(h ⊕ (rotate_left(w·A, 31)·B), 27)·5 + C  for each word,   value = finalize(h ⊕ n)
///
/// Each step is a bijection of h for a given w and of w for a given h, so two sequences of one length that
/// differ in a single word never collide. `finalize` is splitmix64's, which spreads every bit over all 64.
#pragma once

#include <lockstep/base/export.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

namespace lockstep {

/// Takes bytes in pieces; the value depends on the bytes alone, not on how they were cut into pieces.
class LOCKSTEP_EXPORT Hash64 {
  public:
    void add(std::span<const std::byte> bytes);
    /// The characters alone; add the length too where two texts in a row must not run into each other.
    void add(std::string_view text) { add(std::as_bytes(std::span(text))); }

    /// The bytes of one number or enumerator, as they lie in memory.
    template <class T>
    requires std::is_arithmetic_v<T> || std::is_enum_v<T>
    void add_value(T value) { add(std::as_bytes(std::span<const T, 1>(&value, 1))); }

    /// The hash of everything added so far; more may follow.
    std::uint64_t value() const;

  private:
    std::uint64_t state_ = 0x6c6f636b73746570ULL;  // any number would do; this one spells "lockstep"
    std::uint64_t length_ = 0;
    std::array<std::byte, 8> pending_{};  // the length_ % 8 bytes that do not yet fill a word, then zeros
};

/// 16 lower-case hexadecimal digits.
LOCKSTEP_EXPORT std::string to_hex16(std::uint64_t value);

}  // namespace lockstep
