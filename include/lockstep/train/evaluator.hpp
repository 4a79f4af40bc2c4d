/// Evaluation of a network on a data set: each rank infers its part, then one exchange adds up.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/comm/communicator.hpp>
#include <lockstep/data/dataset.hpp>
#include <lockstep/data/input_transform.hpp>
#include <lockstep/nn/loss.hpp>
#include <lockstep/nn/network.hpp>
#include <lockstep/train/score.hpp>

#include <vector>

namespace lockstep {

/// How well one target value is met, or all of them together.
struct ValueErrors {
    double rmse = 0;
    double mae = 0;
    double r2 = 0;  ///< 1 − Σ(a − t)²/Σ(t − mean t)²; NaN where the target is constant
};

/// How well one label is found.
struct LOCKSTEP_EXPORT LabelCounts {
    Index true_positives = 0, false_positives = 0, false_negatives = 0;

    /// 2·TP/(2·TP + FP + FN); 1 where there is nothing to find and nothing was found.
    double f1() const;
};

struct Evaluation {
    Task task = Task::classification;
    Index samples = 0;
    double loss = 0;   ///< mean over the samples
    double score = 0;  ///< accuracy, RMSE or F1: see score.hpp

    // Of a classification.
    int classes = 0;
    double top5 = 0;  ///< share of the samples whose class is among the five largest outputs
    /// How often samples of class t were taken for class p: confusion[t·classes + p]. Empty for more classes than
    /// largest_confusion.
    std::vector<Index> confusion = {};

    // Of a regression: each value, and the mean over all values (of the squares, for RMSE).
    std::vector<ValueErrors> values = {};
    ValueErrors all = {};

    std::vector<LabelCounts> labels = {};  ///< of each label
};

inline constexpr int largest_confusion = 256;

/// Collective. The samples are cut into chunks of a fixed size whose sums are added along the fixed tree, so the result
/// has the same bits on any number of ranks; the network itself communicates nothing. Throws UsageError if the
/// data fit neither the transform nor the network nor the loss. Instantiated for float and double.
template <class Scalar>
LOCKSTEP_EXPORT Evaluation evaluate(const Network<Scalar>& network, const Dataset& data,
                                    const InputTransform& transform, const Loss& loss,
                                    const Communicator& communicator);

}  // namespace lockstep
