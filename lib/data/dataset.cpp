#include <lockstep/data/dataset.hpp>

#include <lockstep/base/error.hpp>
#include <lockstep/data/cifar.hpp>
#include <lockstep/data/digits.hpp>
#include <lockstep/data/idx.hpp>

#include <algorithm>
#include <bit>
#include <cstring>
#include <span>

namespace lockstep {
namespace {

/// Folds values into 64 bits, eight bytes at a time; guards against accidents, not against adversaries.
class Hash {
  public:
    void add(std::uint64_t value) { state_ = std::rotl((state_ ^ value) * 0x9e3779b97f4a7c15ULL, 29); }

    /// The length goes in too, so that where one array ends and the next starts matters.
    void add(std::span<const std::uint8_t> bytes) {
        add(bytes.size());
        for (std::size_t i = 0; i < bytes.size(); i += sizeof(std::uint64_t)) {
            std::uint64_t word = 0;
            std::memcpy(&word, bytes.data() + i, std::min(sizeof word, bytes.size() - i));
            add(word);
        }
    }

    std::uint64_t result() const {
        const std::uint64_t value = (state_ ^ (state_ >> 31)) * 0xbf58476d1ce4e5b9ULL;
        return value ^ (value >> 29);
    }

  private:
    std::uint64_t state_ = 0x94d049bb133111ebULL;
};

void check_limit(const std::optional<Index>& limit, const char* option) {
    if (limit && *limit < 1)
        throw UsageError(std::string(option) + " is " + std::to_string(*limit) + "; it must be at least 1");
}

DatasetPair default_digits(const DatasetOptions& options) {
    const Index train = std::min(options.train_samples.value_or(default_digits_train), default_digits_train);
    const Index test = std::min(options.test_samples.value_or(default_digits_test), default_digits_test);
    return {make_digits(default_digits_seed, 0, train),
            make_digits(default_digits_seed, default_digits_train, test)};
}

const std::filesystem::path& needed_directory(const DatasetOptions& options) {
    if (options.directory.empty())
        throw UsageError("the data set " + options.name +
                         " is read from files; say where they are with --data-dir");
    return options.directory;
}

}  // namespace

void Dataset::keep_first(Index count) {
    if (count < 1)
        throw UsageError("the data set " + name + " cannot be cut to " + std::to_string(count) +
                         " samples; keep at least 1");
    if (count >= size()) return;
    labels.resize(static_cast<std::size_t>(count));
    pixels.resize(static_cast<std::size_t>(count * shape.size()));
}

std::uint64_t Dataset::hash() const {
    Hash hash;
    hash.add(std::span(reinterpret_cast<const std::uint8_t*>(name.data()), name.size()));
    for (const Index extent : {shape.height, shape.width, shape.channels, static_cast<Index>(classes)})
        hash.add(static_cast<std::uint64_t>(extent));
    hash.add(pixels);
    hash.add(labels);
    return hash.result();
}

DatasetPair load_dataset(const DatasetOptions& options) {
    check_limit(options.train_samples, "--train-samples");
    check_limit(options.test_samples, "--test-samples");
    if (options.name == "digits") return default_digits(options);

    DatasetPair pair;
    if (options.name == "mnist") {
        pair = read_mnist(needed_directory(options));
    } else if (options.name == "cifar10") {
        pair = read_cifar10(needed_directory(options));
    } else {
        throw UsageError("there is no data set \"" + options.name +
                         "\"; there are digits, mnist and cifar10");
    }
    if (options.train_samples) pair.train.keep_first(*options.train_samples);
    if (options.test_samples) pair.test.keep_first(*options.test_samples);
    return pair;
}

}  // namespace lockstep
