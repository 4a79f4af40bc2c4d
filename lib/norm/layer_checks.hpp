/// What a batch norm layer refuses, and what its ranks compare: of its options, placement and shapes.
#pragma once

#include <lockstep/base/settings.hpp>
#include <lockstep/norm/batch_norm_types.hpp>

#include <cstddef>
#include <string>

namespace lockstep {

/// Throws UsageError on options that make no sense.
void check(const BatchNormOptions& options, Index channels);

/// Throws UsageError, naming the layer, on a shape with a negative extent or more values than memory can hold.
void check(const BatchShape& shape, Index channels, std::size_t value_bytes, const std::string& layer);

/// What all ranks of a layer must have in common, beside how many channels of which type.
Settings settings_of(const BatchNormOptions& options, const ReplicaPlacement& placement, int ranks);

/// "batch 8, spatial 49, channels last"
std::string shape_text(const BatchShape& shape);

}  // namespace lockstep
