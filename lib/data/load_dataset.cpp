#include <lockstep/data/load_dataset.hpp>

#include <lockstep/base/error.hpp>
#include <lockstep/data/cifar.hpp>
#include <lockstep/data/digits.hpp>
#include <lockstep/data/idx.hpp>

#include <algorithm>
#include <utility>

namespace lockstep {
namespace {

constexpr int most_classes = 256;  // labels are bytes

void check_limit(const std::optional<Index>& limit, const char* setting) {
    if (limit && *limit < 1)
        throw UsageError(std::string(setting) + " is " + std::to_string(*limit) + "; it must be at least 1");
}

/// Gives the data set another number of classes.
void set_classes(Images& data, int classes, const char* part) {
    const auto bad =
        std::ranges::find_if(data.labels, [classes](std::uint8_t label) { return label >= classes; });
    if (bad != data.labels.end())
        throw UsageError("classes is " + std::to_string(classes) + ", but " + part + " sample " +
                         std::to_string(bad - data.labels.begin()) + " of data set " + data.title +
                         " has label " + std::to_string(*bad) + "; classes must be more than every label");
    data.classes = classes;
}

ImagesPair default_digits(const DatasetOptions& options) {
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
ImagesPair read_by_name(const DatasetOptions& options) {
    if (options.name == "digits") return default_digits(options);
    if (options.name == "mnist") return read_mnist(needed_directory(options));
    if (options.name == "cifar10") return read_cifar10(needed_directory(options));
    throw UsageError("unknown data set '" + options.name + "'; choose one of digits, mnist and cifar10");
}

}  // namespace

DatasetPair load_dataset(const DatasetOptions& options) {
    check_limit(options.train_samples, "train-samples");
    check_limit(options.test_samples, "test-samples");
    if (options.classes && (*options.classes < 1 || *options.classes > most_classes))
        throw UsageError("classes is " + std::to_string(*options.classes) + "; it must be from 1 to " +
                         std::to_string(most_classes));
    ImagesPair images = read_by_name(options);
    if (options.classes) {
        set_classes(images.train, *options.classes, "training");
        set_classes(images.test, *options.classes, "test");
    }
    DatasetPair pair{std::make_shared<Images>(std::move(images.train)),
                     std::make_shared<Images>(std::move(images.test))};
    if (options.train_samples) pair.train = first_samples(std::move(pair.train), *options.train_samples);
    if (options.test_samples) pair.test = first_samples(std::move(pair.test), *options.test_samples);
    return pair;
}

}  // namespace lockstep
