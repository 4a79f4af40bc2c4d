/// CIFAR-10 and CIFAR-100 in their binary versions (www.cs.toronto.edu/~kriz/cifar.html): 32 × 32 colour images
/// in 10 or 100 classes.
///
/// A file is a row of records: the label, then 1024 red, 1024 green and 1024 blue values, each row by row. Records
/// of CIFAR-100 begin with the label of the superclass, which is not used.
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

/// The same from train.bin and test.bin, in the directory or its sub-folder cifar-100-binary.
LOCKSTEP_EXPORT ImagesPair read_cifar100(const std::filesystem::path& directory);

}  // namespace lockstep
