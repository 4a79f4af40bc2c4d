#include <lockstep/base/hash.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace lockstep {
namespace {

std::vector<std::byte> some_bytes(std::size_t count) {
    std::vector<std::byte> bytes(count);
    for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>(i * i + 3 * i);
    return bytes;
}

std::uint64_t hash_of(std::span<const std::byte> bytes) {
    Hash64 hash;
    hash.add(bytes);
    return hash.value();
}

TEST(Hash64, DependsOnTheBytesAndNotOnHowTheyAreCut) {
    const auto bytes = some_bytes(61);
    const std::span<const std::byte> all(bytes);
    const std::uint64_t expected = hash_of(all);
    for (std::size_t first = 0; first <= all.size(); ++first) {
        for (std::size_t second = first; second <= all.size(); ++second) {
            Hash64 hash;
            hash.add(all.first(first));
            hash.add(all.subspan(first, second - first));
            hash.add(all.subspan(second));
            ASSERT_EQ(hash.value(), expected) << "cut at " << first << " and " << second;
        }
    }
    Hash64 single;
    for (const std::byte& byte : bytes) single.add(std::span(&byte, 1));
    EXPECT_EQ(single.value(), expected);
}

TEST(Hash64, AskingForTheValueChangesNothing) {
    const auto bytes = some_bytes(21);
    Hash64 hash;
    hash.add(std::span(bytes).first(11));
    EXPECT_EQ(hash.value(), hash.value());
    EXPECT_EQ(hash.value(), hash_of(std::span(bytes).first(11)));
    hash.add(std::span(bytes).subspan(11));
    EXPECT_EQ(hash.value(), hash_of(bytes));
}

// Every bit of the input must reach every bit of the value with a chance of about one half.
TEST(Hash64, ChangesAboutHalfOfItsBitsWithAnyBitOfTheInput) {
    auto bytes = some_bytes(43);
    const std::uint64_t expected = hash_of(bytes);
    int changed_sum = 0;
    const std::size_t bits = bytes.size() * 8;
    for (std::size_t bit = 0; bit < bits; ++bit) {
        const auto mask = static_cast<std::byte>(1u << (bit % 8));
        bytes[bit / 8] ^= mask;
        const int changed = std::popcount(hash_of(bytes) ^ expected);
        bytes[bit / 8] ^= mask;
        EXPECT_GE(changed, 10) << "bit " << bit;
        EXPECT_LE(changed, 54) << "bit " << bit;
        changed_sum += changed;
    }
    EXPECT_NEAR(static_cast<double>(changed_sum) / static_cast<double>(bits), 32.0, 2.0);
}

TEST(Hash64, TellsLengthsAndOrdersApart) {
    std::set<std::uint64_t> values;
    const std::vector<std::byte> zeros(200);
    for (std::size_t length = 0; length <= zeros.size(); ++length) {
        values.insert(hash_of(std::span(zeros).first(length)));
    }
    EXPECT_EQ(values.size(), zeros.size() + 1);

    const std::vector<double> forward{1.0, 2.0, 3.0, 4.0};
    const std::vector<double> swapped{1.0, 3.0, 2.0, 4.0};
    EXPECT_NE(hash_of(std::as_bytes(std::span(forward))), hash_of(std::as_bytes(std::span(swapped))));
}

// Fingerprints are compared between machines and versions: a change of the function must not go unseen.
TEST(Hash64, StaysTheSameFunction) {
    Hash64 hash;
    EXPECT_EQ(to_hex16(hash.value()), "857494abd8fdaccc");
    hash.add("synchronized batch normalization");
    hash.add_value(std::uint16_t{0x1234});
    EXPECT_EQ(to_hex16(hash.value()), "7106784ee87e802e");
}

TEST(Hash64, ValuesCountAsTheirBytes) {
    const float value = 0.1f;
    Hash64 hash;
    hash.add_value(value);
    EXPECT_EQ(hash.value(), hash_of(std::as_bytes(std::span(&value, 1))));
}

TEST(ToHex16, WritesSixteenDigits) {
    EXPECT_EQ(to_hex16(0), "0000000000000000");
    EXPECT_EQ(to_hex16(0x0123456789abcdefULL), "0123456789abcdef");
    EXPECT_EQ(to_hex16(~0ULL), "ffffffffffffffff");
}

}  // namespace
}  // namespace lockstep
