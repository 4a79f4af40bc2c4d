#include <lockstep/base/hash.hpp>

#include <algorithm>
#include <bit>

namespace lockstep {
namespace {

constexpr std::size_t word_bytes = 8;

/// Compilers turn this into one load; written so, it gives the same word on every machine.
std::uint64_t little_endian_word(const std::byte* bytes) {
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < word_bytes; ++i) word |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * i);
    return word;
}

std::uint64_t absorb(std::uint64_t state, std::uint64_t word) {
    word = std::rotl(word * 0x9e3779b97f4a7c15ULL, 31) * 0xd1342543de82ef95ULL;
    return std::rotl(state ^ word, 27) * 5 + 0x2545f4914f6cdd1dULL;
}

std::uint64_t finalize(std::uint64_t value) {
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
    return value ^ (value >> 31);
}

}  // namespace

void Hash64::add(std::span<const std::byte> bytes) {
    const std::size_t held = length_ % word_bytes;
    length_ += bytes.size();
    if (held > 0) {
        const std::size_t taken = std::min(word_bytes - held, bytes.size());
        std::copy_n(bytes.begin(), taken, pending_.begin() + static_cast<std::ptrdiff_t>(held));
        bytes = bytes.subspan(taken);
        if (held + taken < word_bytes) return;
        state_ = absorb(state_, little_endian_word(pending_.data()));
        pending_ = {};
    }
    for (; bytes.size() >= word_bytes; bytes = bytes.subspan(word_bytes)) {
        state_ = absorb(state_, little_endian_word(bytes.data()));
    }
    std::copy(bytes.begin(), bytes.end(), pending_.begin());
}

std::uint64_t Hash64::value() const {
    const bool tail = length_ % word_bytes != 0;
    const std::uint64_t state = tail ? absorb(state_, little_endian_word(pending_.data())) : state_;
    return finalize(state ^ length_);
}

std::string to_hex16(std::uint64_t value) {
    std::string text(16, '0');
    for (auto digit = text.rbegin(); digit != text.rend(); ++digit, value >>= 4) {
        *digit = "0123456789abcdef"[value & 15];
    }
    return text;
}

}  // namespace lockstep
