/// Data sets by name.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/data/array_dataset.hpp>
#include <lockstep/data/dataset.hpp>
#include <lockstep/data/images.hpp>
#include <lockstep/data/subset.hpp>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace lockstep {

/// The two parts as images in memory.
struct ImagesPair {
    Images train;
    Images test;
};

struct DatasetOptions {
    std::string name = "digits";           ///< digits, mnist, cifar10 or cifar100; of no account with arrays
    std::filesystem::path directory = {};  ///< where the files are; digits needs none
    /// Arrays in files instead, for training and for testing: see open_dataset. Empty: none.
    std::string data = {};
    std::string test_data = {};
    /// This share of the samples of `data` is set aside for testing, by `split_seed`.
    std::optional<double> test_split = std::nullopt;
    std::uint64_t split_seed = 1;
    bool channels_first = false;
    TargetKind targets = TargetKind::automatic;
    /// Use only the first so many; all if there are fewer.
    std::optional<Index> train_samples = std::nullopt;
    std::optional<Index> test_samples = std::nullopt;
    /// More than every label; std::nullopt: as many as the data set has.
    std::optional<int> classes = std::nullopt;
};

/// Whether load_dataset knows a data set of that name.
LOCKSTEP_EXPORT bool is_dataset_name(const std::string& name);

/// Reads, or renders, a data set. There is nothing to test on where arrays are given for training alone. Throws
/// UsageError for a name that is not known, a directory that is not given, a
/// number of samples below one, or a number of classes that a label does not fit (naming the sample) or above the 256
/// that labels of one byte can tell apart; FileError for files that are missing or
/// damaged, or test data that are not shaped as the training data.
LOCKSTEP_EXPORT DatasetPair load_dataset(const DatasetOptions& options);

}  // namespace lockstep
