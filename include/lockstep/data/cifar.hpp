/// CIFAR-10 in its binary version (www.cs.toronto.edu/~kriz/cifar.html): 32 × 32 colour images in ten
/// classes.
///
/// A file is a row of records of 3073 bytes: the label, then 1024 red, 1024 green and 1024 blue values, each
/// row by row.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/data/load_dataset.hpp>

#include <filesystem>

namespace lockstep {

/// Reads data_batch_1.bin … data_batch_5.bin and test_batch.bin from the directory or its sub-folder
/// cifar-10-batches-bin, each plain or with ".gz" appended, and puts the colours of a pixel side by side. A
/// file may hold any number of images from one on. Throws FileError, which names the file, what it holds and
/// what it should hold, if anything is wrong.
LOCKSTEP_EXPORT ImagesPair read_cifar10(const std::filesystem::path& directory);

}  // namespace lockstep
