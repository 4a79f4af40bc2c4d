/// A network's parameters and running averages in a .safetensors file, by the names and shapes that
/// torch.nn.Sequential gives the same stack, so that they load on either side.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/nn/network.hpp>
#include <lockstep/train/safetensors.hpp>

#include <cstdint>

namespace lockstep {

/// What checkpoints hold beside the weights has names that begin with this.
inline constexpr std::string_view optimizer_prefix = "optimizer.";

/// Adds all parameters, running averages and num_batches_tracked counters; the network must live, unchanged,
/// until the file is written. Instantiated for float and double.
template <class Scalar>
LOCKSTEP_EXPORT void add_weights(const Network<Scalar>& network, SafetensorsWriter& writer);

/// Sets all parameters, running averages and counters. Throws FileError, and changes nothing, where one is
/// missing, has another shape, or the file has weights that the network has not.
template <class Scalar>
LOCKSTEP_EXPORT void load_weights(const SafetensorsFile& file, Network<Scalar>& network);

/// A number that tells two states of a network apart: over all parameters, running averages and counters.
template <class Scalar>
LOCKSTEP_EXPORT std::uint64_t fingerprint(const Network<Scalar>& network);

}  // namespace lockstep
