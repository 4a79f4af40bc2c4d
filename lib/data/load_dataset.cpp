#include <lockstep/data/load_dataset.hpp>

#include <lockstep/base/error.hpp>
#include <lockstep/data/cifar.hpp>
#include <lockstep/data/digits.hpp>
#include <lockstep/data/idx.hpp>

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>

namespace lockstep {
namespace {

constexpr int most_byte_classes = 256;

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

struct NamedDataset {
    std::string_view name;
    ImagesPair (*read)(const DatasetOptions& options);
};

constexpr NamedDataset named_datasets[] = {
    {"digits", default_digits},
    {"mnist", [](const DatasetOptions& options) { return read_mnist(needed_directory(options)); }},
    {"cifar10", [](const DatasetOptions& options) { return read_cifar10(needed_directory(options)); }},
    {"cifar100", [](const DatasetOptions& options) { return read_cifar100(needed_directory(options)); }},
};

/// Whole, but for the digits, of which only those wanted are drawn.
ImagesPair read_by_name(const DatasetOptions& options) {
    std::string names;
    for (const NamedDataset& one : named_datasets) {
        if (one.name == options.name) return one.read(options);
        names += (names.empty()                          ? ""
                  : &one == std::end(named_datasets) - 1 ? " and "
                                                         : ", ") +
                 std::string(one.name);
    }
    throw UsageError("unknown data set '" + options.name + "'; choose one of " + names +
                     ", or name arrays of your own (data)");
}

/// As many classes as the larger of two sets has, for both.
void check_fits(const Dataset& train, const Dataset& test) {
    if (test.input_shape() != train.input_shape())
        throw FileError(test.name() + ": the test data have inputs of " + test.input_shape().to_string() +
                        ", but the training data " + train.name() + " of " + train.input_shape().to_string());
    const auto holds_bytes = [](const Dataset& data) { return data.precision() == InputPrecision::byte; };
    if (holds_bytes(test) != holds_bytes(train))
        throw FileError(test.name() + ": the test inputs are " + (holds_bytes(test) ? "" : "no ") +
                        "bytes, but the training inputs " + train.name() + " are" +
                        (holds_bytes(train) ? "" : " not") + ": save both in the same type and scale");
    if (test.target().values != train.target().values ||
        (test.target().classes > 0) != (train.target().classes > 0))
        throw FileError(test.name() + ": the test data are " + test.target().to_string() +
                        ", but the training data " + train.name() + " " + train.target().to_string());
}

/// Arrays, each opened once: with the number of classes of both where labels say how many there are.
DatasetPair open_arrays(const DatasetOptions& options) {
    ArrayDatasetOptions each{
        .channels_first = options.channels_first, .targets = options.targets, .classes = options.classes};
    DatasetPair pair;
    if (!options.data.empty()) pair.train = open_dataset(options.data, each);
    if (!options.test_data.empty()) pair.test = open_dataset(options.test_data, each);
    if (pair.train && pair.test) {
        check_fits(*pair.train, *pair.test);
        const int classes = std::max(pair.train->target().classes, pair.test->target().classes);
        if (classes > 0) {
            each.classes = classes;
            pair = {open_dataset(options.data, each), open_dataset(options.test_data, each)};
        }
    } else if (options.test_split && pair.train) {
        pair = split(pair.train, *options.test_split, options.split_seed);
    }
    return pair;
}

DatasetPair load_images(const DatasetOptions& options) {
    if (options.classes && (*options.classes < 1 || *options.classes > most_byte_classes))
        throw UsageError("classes is " + std::to_string(*options.classes) + "; it must be from 1 to " +
                         std::to_string(most_byte_classes));
    ImagesPair images = read_by_name(options);
    if (options.classes) {
        set_classes(images.train, *options.classes, "training");
        set_classes(images.test, *options.classes, "test");
    }
    return {std::make_shared<Images>(std::move(images.train)),
            std::make_shared<Images>(std::move(images.test))};
}

}  // namespace

bool is_dataset_name(const std::string& name) {
    return std::ranges::find(named_datasets, name, &NamedDataset::name) != std::end(named_datasets);
}

DatasetPair load_dataset(const DatasetOptions& options) {
    check_limit(options.train_samples, "train-samples");
    check_limit(options.test_samples, "test-samples");
    const bool arrays = !options.data.empty() || !options.test_data.empty();
    DatasetPair pair = arrays ? open_arrays(options) : load_images(options);
    if (options.train_samples && pair.train)
        pair.train = first_samples(std::move(pair.train), *options.train_samples);
    if (options.test_samples && pair.test)
        pair.test = first_samples(std::move(pair.test), *options.test_samples);
    return pair;
}

}  // namespace lockstep
