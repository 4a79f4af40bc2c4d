/// Images and labels in IDX files, the format of MNIST (yann.lecun.com/exdb/mnist), plain or gzip-compressed.
///
/// A file opens with four bytes, 0, 0, the type of the values (8: unsigned bytes) and the number of
/// dimensions; then each dimension as four bytes, the most significant first; then the values, the last
/// dimension running fastest.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/data/load_dataset.hpp>

#include <filesystem>
#include <string>

namespace lockstep {

/// Reads grey images (three dimensions: count × height × width) and their labels (one dimension: count).
/// There are as many classes as the largest label says, plus one. Each name is looked for as it is and then
/// with ".gz" appended. Throws FileError, which names the file, what it holds and what it should hold, if
/// anything is wrong.
LOCKSTEP_EXPORT Images read_idx(const std::filesystem::path& directory, const std::string& images_name,
                                const std::string& labels_name);

/// Reads MNIST, or any set under its file names: train-images-idx3-ubyte, train-labels-idx1-ubyte and t10k-*,
/// also with a dot before "idx", each also with ".gz" appended. Where the folder has none, those of EMNIST
/// count (emnist-letters-train-images-idx3-ubyte …), and then both in the sub-folders that torchvision makes
/// (MNIST/raw, FashionMNIST/raw …), if exactly one set is there. The number of classes is the largest label
/// of both parts plus one. Throws FileError as above; listing what was tried, or what there is to choose
/// among; or if training and test images differ in shape.
LOCKSTEP_EXPORT ImagesPair read_mnist(const std::filesystem::path& directory);

}  // namespace lockstep
