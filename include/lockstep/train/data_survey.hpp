/// A look at a data set before training: a hash by which ranks and continued runs know it, and the moments of its
/// channels. Each rank reads its share; the results have the same bits on any number of ranks.
///
/// The samples are cut into blocks of about 64 KB, a function of the data set's size and shapes alone. The hash is the
/// sum modulo 2⁶⁴ of the hashes of all blocks: of their targets, and of their inputs, all or (where they have more than
/// 1 GB) of a fixed part of the blocks. Moments are merged along the fixed tree over blocks.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/comm/communicator.hpp>
#include <lockstep/data/dataset.hpp>
#include <lockstep/data/input_transform.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace lockstep {

struct DataSurvey {
    /// "8000 samples of 28x28x1 in 10 classes, hash 0123456789abcdef": equal texts are equal data, whatever files they
    /// came from.
    std::string description = {};
    /// Of each channel over all samples and pixels: mean and (population) deviation. Empty unless asked for.
    std::vector<double> means = {}, deviations = {};
};

struct SurveyOptions {
    bool moments = false;
    /// Hash all inputs, however many.
    bool whole = false;
    /// The target values are labels (see check_labels).
    bool labels = false;
};

/// "8000 samples of 28x28x1 in 10 classes": what is known without reading.
LOCKSTEP_EXPORT std::string outline(const Dataset& data);

/// Of a few blocks that all ranks read, the first and the last among them: tells apart what ranks would see of files
/// that are not the same everywhere. Not collective. Throws as SampleReader does.
LOCKSTEP_EXPORT std::uint64_t spot_check(const Dataset& data);

/// Collective; outline(data) must be alike on all ranks. Throws on every rank where a sample cannot be read (see
/// SampleReader), naming the rank that met it.
LOCKSTEP_EXPORT DataSurvey survey(const Dataset& data, const Communicator& communicator,
                                  const SurveyOptions& options = {});

/// The transform of that kind for a data set; `found` has moments where the kind is standardized. Throws NumericalError
/// where they are not finite. That unit is for bytes alone, SampleReader checks.
LOCKSTEP_EXPORT InputTransform input_transform(InputKind kind, const Dataset& data, const DataSurvey& found);

}  // namespace lockstep
