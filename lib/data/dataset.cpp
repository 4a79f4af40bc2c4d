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

constexpr int most_classes = 256;  // labels are bytes

void check_limit(const std::optional<Index>& limit, const char* setting) {
    if (limit && *limit < 1)
        throw UsageError(std::string(setting) + " is " + std::to_string(*limit) + "; it must be at least 1");
}

/// Gives the data set another number of classes.
void set_classes(Dataset& data, int classes, const char* part) {
    const auto bad =
        std::ranges::find_if(data.labels, [classes](std::uint8_t label) { return label >= classes; });
    if (bad != data.labels.end())
        throw UsageError("classes is " + std::to_string(classes) + ", but " + part + " sample " +
                         std::to_string(bad - data.labels.begin()) + " of data set " + data.name +
                         " has label " + std::to_string(*bad) + "; classes must be more than every label");
    data.classes = classes;
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
                         " is read from files: say where they are (data-dir)");
    return options.directory;
}

/// Whole, but for the digits, of which only those wanted are drawn.
DatasetPair read_by_name(const DatasetOptions& options) {
    if (options.name == "digits") return default_digits(options);
    if (options.name == "mnist") return read_mnist(needed_directory(options));
    if (options.name == "cifar10") return read_cifar10(needed_directory(options));
    throw UsageError("unknown data set '" + options.name + "'; choose one of digits, mnist and cifar10");
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
    check_limit(options.train_samples, "train-samples");
    check_limit(options.test_samples, "test-samples");
    if (options.classes && (*options.classes < 1 || *options.classes > most_classes))
        throw UsageError("classes is " + std::to_string(*options.classes) + "; it must be from 1 to " +
                         std::to_string(most_classes));
    DatasetPair pair = read_by_name(options);
    if (options.classes) {
        set_classes(pair.train, *options.classes, "training");
        set_classes(pair.test, *options.classes, "test");
    }
    if (options.train_samples) pair.train.keep_first(*options.train_samples);
    if (options.test_samples) pair.test.keep_first(*options.test_samples);
    return pair;
}

}  // namespace lockstep
