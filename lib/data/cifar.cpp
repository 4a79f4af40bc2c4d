#include <lockstep/data/cifar.hpp>

#include <lockstep/base/error.hpp>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "data_file.hpp"

namespace lockstep {
namespace {

constexpr std::size_t cifar_side = 32, cifar_channels = 3, cifar_pixels = cifar_side * cifar_side;
constexpr std::size_t record_bytes = 1 + cifar_channels * cifar_pixels;
constexpr int cifar_classes = 10;
constexpr Index most_samples =
    10'000'000;  // what a compressed file may expand to before it counts as damaged

/// Appends a record's image, channels-last, and its label.
void append(Images& dataset, const std::array<std::uint8_t, record_bytes>& record) {
    dataset.labels.push_back(record[0]);
    for (std::size_t pixel = 0; pixel < cifar_pixels; ++pixel)
        for (std::size_t channel = 0; channel < cifar_channels; ++channel)
            dataset.pixels.push_back(record[1 + channel * cifar_pixels + pixel]);
}

/// Appends all images of a file.
void read_batch(const std::vector<std::filesystem::path>& places, const std::string& name, Images& dataset) {
    DataFile file(find_data_file(places, {name}));
    std::array<std::uint8_t, record_bytes> record;
    Index records = 0;
    for (;; ++records) {
        const std::size_t got = file.read(record.data(), record_bytes);
        if (got == 0) break;
        if (got < record_bytes)
            file.fail("it holds " + std::to_string(static_cast<std::size_t>(records) * record_bytes + got) +
                      " bytes, where a whole number of records of " + std::to_string(record_bytes) +
                      " bytes was expected; it is truncated, or not CIFAR-10's binary version");
        if (record[0] >= cifar_classes)
            file.fail("the label of image " + std::to_string(records) + " is " + std::to_string(record[0]) +
                      ", where labels run from 0 to 9; it is damaged, or not CIFAR-10's binary version");
        if (records == most_samples)
            file.fail("it holds more than " + std::to_string(most_samples) +
                      " images, where CIFAR-10 has 10000");
        append(dataset, record);
    }
    if (records == 0) file.fail("it is empty, where at least one image was expected");
}

Images empty_cifar() {
    Images dataset;
    dataset.title = "cifar10";
    dataset.shape = {static_cast<Index>(cifar_side), static_cast<Index>(cifar_side),
                     static_cast<Index>(cifar_channels)};
    dataset.classes = cifar_classes;
    return dataset;
}

}  // namespace

ImagesPair read_cifar10(const std::filesystem::path& directory) {
    // All files from one place: where the first is.
    const std::string first = "data_batch_1.bin";
    std::vector<std::filesystem::path> places = {directory, directory / "cifar-10-batches-bin"};
    for (const std::filesystem::path& place : std::vector(places))
        if (has_data_file(place, {first})) {
            places = {place};
            break;
        }
    ImagesPair pair{empty_cifar(), empty_cifar()};
    for (int batch = 1; batch <= 5; ++batch)
        read_batch(places, "data_batch_" + std::to_string(batch) + ".bin", pair.train);
    read_batch(places, "test_batch.bin", pair.test);
    return pair;
}

}  // namespace lockstep
