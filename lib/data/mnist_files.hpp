/// Where the four files of a set like MNIST are, under the names and in the folders that are in use.
#pragma once

#include <filesystem>

namespace lockstep {

struct MnistFiles {
    std::filesystem::path train_images, train_labels, test_images, test_labels;
};

/// See read_mnist. Throws FileError.
MnistFiles find_mnist_files(const std::filesystem::path& directory);

}  // namespace lockstep
