#include <lockstep/data/idx.hpp>

#include <lockstep/base/error.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <utility>
#include <vector>

#include "data_file.hpp"
#include "mnist_files.hpp"

namespace lockstep {
namespace {

// Far above any data set of this kind and far below what overflows: 2³¹ × 2¹² × 2¹² is 2⁵⁵.
constexpr std::uint32_t most_samples = 0x7fffffff;
constexpr std::uint32_t most_side = 4096;
constexpr std::uint64_t most_bytes = std::uint64_t{1} << 36;

std::uint32_t big_endian(const std::uint8_t* bytes) {
    return (std::uint32_t{bytes[0]} << 24) | (std::uint32_t{bytes[1]} << 16) |
           (std::uint32_t{bytes[2]} << 8) | std::uint32_t{bytes[3]};
}

std::string hexadecimal(std::uint32_t value) {
    char text[11];
    std::snprintf(text, sizeof text, "0x%08x", value);
    return text;
}

/// Reads the header of unsigned bytes in `count` dimensions and returns the dimensions.
std::vector<std::uint32_t> read_dimensions(DataFile& file, std::size_t count) {
    const std::uint32_t magic = big_endian(file.read_exactly(4, "the 4 bytes that open an IDX file").data());
    const std::uint32_t expected = 0x0800 + static_cast<std::uint32_t>(count);
    if (magic != expected)
        file.fail("not the IDX file that was expected: its first four bytes are " + hexadecimal(magic) +
                  " instead of " + hexadecimal(expected) +
                  " (unsigned bytes, dimensions: " + std::to_string(count) + ")");
    const std::vector<std::uint8_t> bytes = file.read_exactly(
        4 * count, "the " + std::to_string(4 * count) + " bytes of its dimensions, after the first four");
    std::vector<std::uint32_t> dimensions;
    for (std::size_t i = 0; i < count; ++i) dimensions.push_back(big_endian(bytes.data() + 4 * i));
    if (dimensions[0] == 0) file.fail("its header announces no samples at all");
    if (dimensions[0] > most_samples)
        file.fail("its header announces " + std::to_string(dimensions[0]) + " samples, above the limit of " +
                  std::to_string(most_samples) + "; the file is damaged");
    return dimensions;
}

/// Reads the images into `dataset`: its shape and pixels.
void read_images(const std::filesystem::path& path, Images& dataset) {
    DataFile file(path);
    const std::vector<std::uint32_t> dimensions = read_dimensions(file, 3);
    const std::uint32_t count = dimensions[0], height = dimensions[1], width = dimensions[2];
    const std::string announced = std::to_string(count) + " images of " + std::to_string(height) + " x " +
                                  std::to_string(width) + " pixels";
    if (height == 0 || width == 0 || height > most_side || width > most_side)
        file.fail("its header announces " + announced + ", where each side should be from 1 to " +
                  std::to_string(most_side) + "; the file is damaged");
    const std::uint64_t bytes = std::uint64_t{count} * height * width;
    if (bytes > most_bytes)
        file.fail("its header announces " + announced + ", above the limit of " + std::to_string(most_bytes) +
                  " bytes; the file is damaged");
    dataset.shape = {static_cast<Index>(height), static_cast<Index>(width), 1};
    dataset.pixels = file.read_exactly(bytes, "the " + std::to_string(bytes) + " bytes of " + announced);
    file.expect_end();
}

/// Reads the labels, of which there should be `images`.
std::vector<std::uint8_t> read_labels(const std::filesystem::path& path, std::size_t images) {
    DataFile file(path);
    const std::uint32_t count = read_dimensions(file, 1)[0];
    if (count != images)
        file.fail("its header announces " + std::to_string(count) +
                  " labels, where the images beside it number " + std::to_string(images) +
                  "; the two files do not belong together");
    std::vector<std::uint8_t> labels =
        file.read_exactly(count, "the " + std::to_string(count) + " bytes of as many labels");
    file.expect_end();
    return labels;
}

/// From the paths of two files that are there.
Images read_pair(const std::filesystem::path& images_path, const std::filesystem::path& labels_path) {
    Images dataset;
    dataset.title = "mnist";
    read_images(images_path, dataset);
    const std::size_t images = dataset.pixels.size() / static_cast<std::size_t>(dataset.shape.size());
    dataset.labels = read_labels(labels_path, images);
    dataset.classes = *std::ranges::max_element(dataset.labels) + 1;
    return dataset;
}

}  // namespace

Images read_idx(const std::filesystem::path& directory, const std::string& images_name,
                const std::string& labels_name) {
    const std::filesystem::path images = find_data_file({directory}, {images_name});
    return read_pair(images, find_data_file({directory}, {labels_name}));
}

ImagesPair read_mnist(const std::filesystem::path& directory) {
    const MnistFiles files = find_mnist_files(directory);
    ImagesPair pair{read_pair(files.train_images, files.train_labels),
                    read_pair(files.test_images, files.test_labels)};
    if (!(pair.train.shape == pair.test.shape))
        throw FileError(files.test_images.string() + ": its images are " + pair.test.shape.to_string() +
                        ", where those of " + files.train_images.filename().string() + " are " +
                        pair.train.shape.to_string() + "; the files do not belong together");
    pair.train.classes = pair.test.classes = std::max(pair.train.classes, pair.test.classes);
    return pair;
}

}  // namespace lockstep
