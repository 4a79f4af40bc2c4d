#include <lockstep/base/keyed_bijection.hpp>

#include <lockstep/base/error.hpp>

#include <string>

namespace lockstep {
namespace {

constexpr std::uint64_t largest_size = std::uint64_t{1} << 62;

std::size_t rounds_for(std::uint64_t size) {
    return size < 1024 ? 30 : 10;
}

/// The smallest number whose square is at least `value`.
std::uint64_t root_above(std::uint64_t value) {
    std::uint64_t root = 0;
    for (std::uint64_t bit = std::uint64_t{1} << 31; bit > 0; bit >>= 1)
        if ((root + bit) * (root + bit) < value) root += bit;
    return root + 1;
}

/// Below `bound`, which is at most 2³¹: the high half of a product with mixed bits (splitmix64's finalizer).
std::uint64_t mixed(std::uint64_t value, std::uint64_t key, std::uint64_t bound) {
    value ^= key;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
    return ((value >> 32) * bound) >> 32;
}

}  // namespace

KeyedBijection::KeyedBijection(std::uint64_t size, RandomStream key) : size_(size) {
    if (size < 1 || size > largest_size)
        throw UsageError("a shuffled order has from 1 to 2^62 elements, not " + std::to_string(size));
    columns_ = root_above(size);
    rows_ = (size - 1) / columns_ + 1;
    keys_.resize(rounds_for(size));
    for (std::uint64_t& round : keys_) round = key.next_u64();
}

std::uint64_t KeyedBijection::forward(std::uint64_t value) const {
    std::uint64_t left = value / columns_, right = value % columns_;
    for (std::size_t round = 0; round < keys_.size(); round += 2) {
        left += mixed(right, keys_[round], rows_);
        if (left >= rows_) left -= rows_;
        right += mixed(left, keys_[round + 1], columns_);
        if (right >= columns_) right -= columns_;
    }
    return left * columns_ + right;
}

std::uint64_t KeyedBijection::backward(std::uint64_t value) const {
    std::uint64_t left = value / columns_, right = value % columns_;
    for (std::size_t round = keys_.size(); round > 0; round -= 2) {
        right += columns_ - mixed(left, keys_[round - 1], columns_);
        if (right >= columns_) right -= columns_;
        left += rows_ - mixed(right, keys_[round - 2], rows_);
        if (left >= rows_) left -= rows_;
    }
    return left * columns_ + right;
}

std::uint64_t KeyedBijection::operator()(std::uint64_t position) const {
    std::uint64_t value = forward(position);
    while (value >= size_) value = forward(value);
    return value;
}

std::uint64_t KeyedBijection::inverse(std::uint64_t element) const {
    std::uint64_t value = backward(element);
    while (value >= size_) value = backward(value);
    return value;
}

}  // namespace lockstep
