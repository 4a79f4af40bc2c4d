/// Evaluation of a network on a data set: each rank infers its part, then one exchange adds up.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/comm/communicator.hpp>
#include <lockstep/data/dataset.hpp>
#include <lockstep/data/input_transform.hpp>
#include <lockstep/nn/network.hpp>

#include <vector>

namespace lockstep {

struct Evaluation {
    double loss = 0;      ///< mean over the samples
    double accuracy = 0;  ///< share of the samples, 0 … 1
    int classes = 0;
    /// How often samples of class t were taken for class p: confusion[t·classes + p].
    std::vector<Index> confusion;
};

/// Collective. The samples are cut into chunks of a fixed size whose sums are added in order, so the result
/// has the same bits on any number of ranks; the network itself communicates nothing. Throws UsageError if the
/// data fit neither the transform nor the network, in shape or in classes. Instantiated for float and double.
template <class Scalar>
LOCKSTEP_EXPORT Evaluation evaluate(const Network<Scalar>& network, const Dataset& data,
                                    const InputTransform& transform, const Communicator& communicator);

}  // namespace lockstep
