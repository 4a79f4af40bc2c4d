#include <lockstep/data/dataset.hpp>
#include <lockstep/data/digits.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "data_files.hpp"

namespace lockstep {
namespace {

using test::expect_error;

Dataset small() {
    Dataset data;
    data.name = "small";
    data.shape = {1, 3, 2};
    data.classes = 4;
    for (std::uint8_t i = 0; i < 18; ++i) data.pixels.push_back(i);
    data.labels = {3, 0, 2};
    return data;
}

TEST(Dataset, KeepsTheFirstSamples) {
    Dataset data = small();
    data.keep_first(2);
    EXPECT_EQ(data.size(), 2);
    EXPECT_EQ(data.pixels.size(), 12u);
    EXPECT_EQ(data.labels, (std::vector<std::uint8_t>{3, 0}));
    EXPECT_EQ(data.sample(1)[5], 11);
}

TEST(Dataset, KeepsAllWhereThereAreFewer) {
    Dataset data = small();
    data.keep_first(100);
    EXPECT_EQ(data.size(), 3);
    EXPECT_EQ(data.pixels.size(), 18u);
    EXPECT_THROW(data.keep_first(0), UsageError);
}

TEST(Dataset, HashTellsApartWhateverDiffers) {
    EXPECT_EQ(small().hash(), small().hash());
    std::set<std::uint64_t> hashes = {small().hash()};
    const auto add = [&](auto change) {
        Dataset data = small();
        change(data);
        hashes.insert(data.hash());
    };
    for (std::size_t i = 0; i < 18; ++i) add([&](Dataset& data) { data.pixels[i] ^= 1; });
    for (std::size_t i = 0; i < 3; ++i) add([&](Dataset& data) { ++data.labels[i]; });
    add([](Dataset& data) { data.name = "large"; });
    add([](Dataset& data) { data.classes = 5; });
    add([](Dataset& data) { data.shape = {3, 1, 2}; });
    add([](Dataset& data) { std::swap(data.labels[0], data.labels[1]); });
    add([](Dataset& data) { std::swap(data.pixels[0], data.pixels[8]); });  // whole words apart
    add([](Dataset& data) { data.keep_first(2); });
    EXPECT_EQ(hashes.size(), 1u + 18u + 3u + 6u);
}

TEST(LoadDataset, GivesTheBuiltInDigitsByDefault) {
    const DatasetPair pair = load_dataset({});
    EXPECT_EQ(pair.train.name, "digits");
    EXPECT_EQ(pair.train.size(), 8000);
    EXPECT_EQ(pair.test.size(), 2000);
    EXPECT_EQ(pair.train.shape, pair.test.shape);
    EXPECT_EQ(pair.train.classes, 10);
}

TEST(LoadDataset, LimitsAreTheFirstSamples) {
    const DatasetPair whole = load_dataset({});
    DatasetOptions options;
    options.train_samples = 70;
    options.test_samples = 1'000'000;
    const DatasetPair part = load_dataset(options);
    Dataset expected = whole.train;
    expected.keep_first(70);
    EXPECT_EQ(part.train.hash(), expected.hash());
    EXPECT_EQ(part.test.hash(), whole.test.hash());
}

TEST(LoadDataset, TrainAndTestShareNoImage) {
    const DatasetPair pair = load_dataset({});
    std::set<std::string> images;
    for (const Dataset* data : {&pair.train, &pair.test})
        for (Index i = 0; i < data->size(); ++i)
            images.emplace(data->sample(i), data->sample(i) + data->shape.size());
    EXPECT_EQ(images.size(), 10'000u);
}

TEST(LoadDataset, UnknownNameListsTheKnownOnes) {
    DatasetOptions options;
    options.name = "imagenet";
    expect_error<UsageError>([&] { load_dataset(options); }, {"imagenet", "digits", "mnist", "cifar10"});
}

TEST(LoadDataset, FilesNeedADirectory) {
    for (const std::string name : {"mnist", "cifar10"}) {
        DatasetOptions options;
        options.name = name;
        expect_error<UsageError>([&] { load_dataset(options); }, {name, "data-dir"});
        options.directory = "/nowhere/at/all";
        expect_error<FileError>([&] { load_dataset(options); }, {"/nowhere/at/all"});
    }
}

TEST(LoadDataset, ClassesCanBeMoreThanTheLabelsSay) {
    DatasetOptions options{.train_samples = 20, .test_samples = 20, .classes = 14};
    const DatasetPair pair = load_dataset(options);
    EXPECT_EQ(pair.train.classes, 14);
    EXPECT_EQ(pair.test.classes, 14);
    for (const int classes : {-1, 0, 257}) {
        options.classes = classes;
        expect_error<UsageError>([&] { load_dataset(options); },
                                 {"classes is " + std::to_string(classes), "256"});
    }
}

TEST(LoadDataset, ALabelThatTheClassesDoNotHoldIsNamedWithItsSample) {
    const Dataset train = load_dataset({}).train;
    const auto first = std::ranges::find_if(train.labels, [](std::uint8_t label) { return label >= 6; });
    const DatasetOptions options{.classes = 6};
    expect_error<UsageError>(
        [&] { load_dataset(options); },
        {"classes is 6", "training sample " + std::to_string(first - train.labels.begin()), "digits",
         "label " + std::to_string(*first)});
}

TEST(LoadDataset, LimitsBelowOneAreAnError) {
    for (const Index limit : {Index{0}, Index{-3}}) {
        DatasetOptions options;
        options.train_samples = limit;
        expect_error<UsageError>([&] { load_dataset(options); }, {"train-samples", std::to_string(limit)});
        options = {};
        options.test_samples = limit;
        expect_error<UsageError>([&] { load_dataset(options); }, {"test-samples", std::to_string(limit)});
    }
}

}  // namespace
}  // namespace lockstep
