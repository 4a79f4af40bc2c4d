/// Makes layers from their description, by the makers that are registered, fitting each to what the one before
/// it gives.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/nn/batch_norm.hpp>
#include <lockstep/nn/model_parser.hpp>
#include <lockstep/nn/sequence.hpp>

#include <memory>

namespace lockstep {

/// Whether any layer needs to see images; otherwise the network takes its input as one flat vector.
LOCKSTEP_EXPORT bool needs_images(const ModelDescription& model);

/// Throws UsageError naming the layer, what is wrong, and what would do. Instantiated for float and double.
template <class Scalar>
LOCKSTEP_EXPORT std::unique_ptr<Sequence<Scalar>> make_sequence(const ModelDescription& model, Shape input,
                                                                const BatchNormSetup& setup);

}  // namespace lockstep
