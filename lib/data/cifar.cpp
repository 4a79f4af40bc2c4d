#include <lockstep/data/cifar.hpp>

#include <lockstep/base/error.hpp>

#include <cstdint>
#include <string>
#include <vector>

#include "data_file.hpp"

namespace lockstep {
namespace {

constexpr std::size_t cifar_side = 32, cifar_channels = 3, cifar_pixels = cifar_side * cifar_side;
constexpr Index most_samples =
    10'000'000;  // what a compressed file may expand to before it counts as damaged

/// One of the two sets.
struct Variant {
    const char* title;
    const char* text;  ///< as people write it
    const char* folder;
    int classes;
    std::size_t label_bytes;  ///< the last of them counts
    std::vector<std::string> train_files;
    std::string test_file;

    std::size_t record_bytes() const { return label_bytes + cifar_channels * cifar_pixels; }
};

/// Appends a record's image, channels-last, and its label.
void append(Images& dataset, const Variant& variant, const std::vector<std::uint8_t>& record) {
    dataset.labels.push_back(record[variant.label_bytes - 1]);
    for (std::size_t pixel = 0; pixel < cifar_pixels; ++pixel)
        for (std::size_t channel = 0; channel < cifar_channels; ++channel)
            dataset.pixels.push_back(record[variant.label_bytes + channel * cifar_pixels + pixel]);
}

/// Appends all images of a file.
void read_batch(const std::vector<std::filesystem::path>& places, const std::string& name,
                const Variant& variant, Images& dataset) {
    DataFile file(find_data_file(places, {name}));
    const std::string binary = std::string(variant.text) + "'s binary version";
    std::vector<std::uint8_t> record(variant.record_bytes());
    Index records = 0;
    for (;; ++records) {
        const std::size_t got = file.read(record.data(), record.size());
        if (got == 0) break;
        if (got < record.size())
            file.fail("it holds " + std::to_string(static_cast<std::size_t>(records) * record.size() + got) +
                      " bytes, where a whole number of records of " + std::to_string(record.size()) +
                      " bytes was expected; it is truncated, or not " + binary);
        const int label = record[variant.label_bytes - 1];
        if (label >= variant.classes)
            file.fail("the label of image " + std::to_string(records) + " is " + std::to_string(label) +
                      ", where labels run from 0 to " + std::to_string(variant.classes - 1) +
                      "; it is damaged, or not " + binary);
        if (records == most_samples)
            file.fail("it holds more than " + std::to_string(most_samples) + " images, where " +
                      variant.text + " has 60000 in all");
        append(dataset, variant, record);
    }
    if (records == 0) file.fail("it is empty, where at least one image was expected");
}

ImagesPair read(const std::filesystem::path& directory, const Variant& variant) {
    // All files from one place: where the first is.
    std::vector<std::filesystem::path> places = {directory, directory / variant.folder};
    for (const std::filesystem::path& place : std::vector(places))
        if (has_data_file(place, {variant.train_files.front()})) {
            places = {place};
            break;
        }
    ImagesPair pair;
    for (Images* part : {&pair.train, &pair.test}) {
        part->title = variant.title;
        part->shape = {static_cast<Index>(cifar_side), static_cast<Index>(cifar_side),
                       static_cast<Index>(cifar_channels)};
        part->classes = variant.classes;
    }
    for (const std::string& name : variant.train_files) read_batch(places, name, variant, pair.train);
    read_batch(places, variant.test_file, variant, pair.test);
    return pair;
}

}  // namespace

ImagesPair read_cifar10(const std::filesystem::path& directory) {
    return read(directory, {"cifar10",
                            "CIFAR-10",
                            "cifar-10-batches-bin",
                            10,
                            1,
                            {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
                             "data_batch_5.bin"},
                            "test_batch.bin"});
}

ImagesPair read_cifar100(const std::filesystem::path& directory) {
    return read(directory, {"cifar100", "CIFAR-100", "cifar-100-binary", 100, 2, {"train.bin"}, "test.bin"});
}

}  // namespace lockstep
