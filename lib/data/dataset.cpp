#include <lockstep/data/dataset.hpp>

#include <lockstep/base/error.hpp>
#include <lockstep/base/hash.hpp>
#include <lockstep/data/cifar.hpp>
#include <lockstep/data/digits.hpp>
#include <lockstep/data/idx.hpp>

#include <algorithm>
#include <span>

namespace lockstep {
namespace {

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
    Hash64 hash;
    hash.add_value(static_cast<std::uint64_t>(name.size()));
    hash.add(name);
    for (const Index extent :
         {shape.height, shape.width, shape.channels, static_cast<Index>(classes), size()})
        hash.add_value(static_cast<std::int64_t>(extent));
    hash.add(std::as_bytes(std::span(pixels)));
    hash.add(std::as_bytes(std::span(labels)));
    return hash.value();
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
