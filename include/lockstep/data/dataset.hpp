/// Labelled images in memory, and loading them by the name of the data set.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/base/shape.hpp>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace lockstep {

/// Labelled images of one shape, as the bytes that the files hold.
struct LOCKSTEP_EXPORT Dataset {
    std::string name;
    Shape shape;
    int classes = 0;
    std::vector<std::uint8_t> pixels;  // size() × shape.size(), channels-last
    std::vector<std::uint8_t> labels;  // size(), each below `classes`

    /// Number of samples.
    Index size() const { return static_cast<Index>(labels.size()); }

    /// The shape.size() values of one sample; valid until the data set changes.
    const std::uint8_t* sample(Index index) const { return pixels.data() + index * shape.size(); }

    /// Drops all but the first `count` samples; keeps all where there are no more than that.
    /// Throws UsageError if count < 1.
    void keep_first(Index count);

    /// 64 bits over everything above, for ranks to check that they hold the same data.
    std::uint64_t hash() const;
};

struct DatasetPair {
    Dataset train;
    Dataset test;
};

struct DatasetOptions {
    std::string name = "digits";           ///< digits, mnist or cifar10
    std::filesystem::path directory = {};  ///< where the files are; digits needs none
    /// Use only the first so many; all if there are fewer.
    std::optional<Index> train_samples = std::nullopt;
    std::optional<Index> test_samples = std::nullopt;
    /// More than every label; std::nullopt: as many as the data set has.
    std::optional<int> classes = std::nullopt;
};

/// Reads, or renders, a data set. Throws UsageError for a name that is not known, a directory that is not
/// given, a number of samples below one, or a number of classes that a label does not fit (naming the sample)
/// or above the 256 that labels of one byte can tell apart; FileError for files that are missing or damaged.
LOCKSTEP_EXPORT DatasetPair load_dataset(const DatasetOptions& options);

}  // namespace lockstep
