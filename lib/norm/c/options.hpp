/// The options of a layer as C callers give them: in a struct that may be older or newer than this library's.
#pragma once

#include <lockstep/lockstep.h>
#include <lockstep/norm/batch_norm_types.hpp>

#include <cstdint>

namespace lockstep::c_interface {

/// The defaults, in this library's struct.
lockstep_batch_norm_options default_options();

/// The caller's options: what its struct is too short for has its default. Throws UsageError on a size that no such
/// struct has, and on values in what this library does not know.
lockstep_batch_norm_options known_options(const lockstep_batch_norm_options* options);

/// Throws UsageError on a size that no version of the struct has.
void require_options_size(std::int64_t size);

BatchNormOptions layer_options(const lockstep_batch_norm_options& options);

/// 0 stands for the default in either.
ReplicaPlacement placement_of(std::int32_t replicas, std::int32_t group);

}  // namespace lockstep::c_interface
