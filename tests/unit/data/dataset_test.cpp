#include <lockstep/data/digits.hpp>
#include <lockstep/data/load_dataset.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "data_files.hpp"

namespace lockstep {
namespace {

using test::expect_error;

Images small() {
    Images data;
    data.title = "small";
    data.shape = {1, 3, 2};
    data.classes = 4;
    for (std::uint8_t i = 0; i < 18; ++i) data.pixels.push_back(i);
    data.labels = {3, 0, 2};
    return data;
}

std::vector<double> input_of(const Dataset& data, Index sample) {
    std::vector<double> values(static_cast<std::size_t>(data.input_shape().size()));
    data.read_input(sample, values.data());
    return values;
}

double label_of(const Dataset& data, Index sample) {
    double label = -1;
    data.read_target(sample, &label);
    return label;
}

/// What a data set holds, sample by sample.
std::vector<std::pair<std::vector<double>, double>> contents(const Dataset& data) {
    std::vector<std::pair<std::vector<double>, double>> all;
    for (Index i = 0; i < data.size(); ++i) all.emplace_back(input_of(data, i), label_of(data, i));
    return all;
}

TEST(Images, AreReadSampleBySample) {
    const Images data = small();
    EXPECT_EQ(data.size(), 3);
    EXPECT_EQ(data.target(), (Target{.classes = 4}));
    EXPECT_EQ(input_of(data, 1), (std::vector<double>{6, 7, 8, 9, 10, 11}));
    EXPECT_EQ(label_of(data, 2), 2);
    float values[6];
    data.read_input(2, values);
    EXPECT_EQ(values[5], 17);
}

TEST(FirstSamples, AreTheFirst) {
    const auto data = std::make_shared<Images>(small());
    const auto two = first_samples(data, 2);
    EXPECT_EQ(two->size(), 2);
    EXPECT_EQ(input_of(*two, 1), input_of(*data, 1));
    EXPECT_EQ(first_samples(data, 100), data);
    EXPECT_THROW(first_samples(data, 0), UsageError);
}

TEST(Split, GivesEachSampleToOneSide) {
    auto digits = std::make_shared<Images>(make_digits(1, 0, 97));
    for (const double share : {0.001, 0.1, 0.5, 0.999}) {
        const DatasetPair parts = split(digits, share, 7);
        EXPECT_EQ(parts.test->size(), std::clamp<Index>(std::llround(share * 97), 1, 96));
        auto all = contents(*parts.train);
        for (auto& one : contents(*parts.test)) all.push_back(one);
        auto expected = contents(*digits);
        std::ranges::sort(all);
        std::ranges::sort(expected);
        EXPECT_EQ(all, expected);
    }
}

TEST(Split, IsAFunctionOfTheSeed) {
    const auto digits = std::make_shared<Images>(make_digits(1, 0, 60));
    EXPECT_EQ(contents(*split(digits, 0.2, 3).test), contents(*split(digits, 0.2, 3).test));
    EXPECT_NE(contents(*split(digits, 0.2, 3).test), contents(*split(digits, 0.2, 4).test));
}

TEST(Split, RefusesWhatLeavesASideEmpty) {
    const auto data = std::make_shared<Images>(small());
    for (const double share : {0.0, 1.0, -0.5, 2.0, std::nan("")})
        expect_error<UsageError>([&] { split(data, share, 1); }, {"between 0 and 1"});
    EXPECT_THROW(split(first_samples(data, 1), 0.5, 1), UsageError);
}

TEST(LoadDataset, GivesTheBuiltInDigitsByDefault) {
    const DatasetPair pair = load_dataset({});
    EXPECT_EQ(pair.train->name(), "digits");
    EXPECT_EQ(pair.train->size(), 8000);
    EXPECT_EQ(pair.test->size(), 2000);
    EXPECT_EQ(pair.train->input_shape(), pair.test->input_shape());
    EXPECT_EQ(pair.train->target().classes, 10);
}

TEST(LoadDataset, LimitsAreTheFirstSamples) {
    const DatasetPair whole = load_dataset({});
    DatasetOptions options;
    options.train_samples = 70;
    options.test_samples = 1'000'000;
    const DatasetPair part = load_dataset(options);
    EXPECT_EQ(contents(*part.train), contents(*first_samples(whole.train, 70)));
    EXPECT_EQ(contents(*part.test), contents(*whole.test));
}

TEST(LoadDataset, TrainAndTestShareNoImage) {
    const DatasetPair pair = load_dataset({});
    std::set<std::vector<double>> images;
    for (const auto& data : {pair.train, pair.test})
        for (Index i = 0; i < data->size(); ++i) images.insert(input_of(*data, i));
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
    EXPECT_EQ(pair.train->target().classes, 14);
    EXPECT_EQ(pair.test->target().classes, 14);
    for (const int classes : {-1, 0, 257}) {
        options.classes = classes;
        expect_error<UsageError>([&] { load_dataset(options); },
                                 {"classes is " + std::to_string(classes), "256"});
    }
}

TEST(LoadDataset, ALabelThatTheClassesDoNotHoldIsNamedWithItsSample) {
    const auto train = load_dataset({}).train;
    Index first = 0;
    while (label_of(*train, first) < 6) ++first;
    const DatasetOptions options{.classes = 6};
    expect_error<UsageError>([&] { load_dataset(options); },
                             {"classes is 6", "training sample " + std::to_string(first), "digits",
                              "label " + std::to_string(static_cast<int>(label_of(*train, first)))});
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
