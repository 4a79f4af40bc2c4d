/// What the passes of an epoch ask of a run's options, once the batches and the network are at hand.
#pragma once

#include <lockstep/comm/replica_map.hpp>
#include <lockstep/data/dataset.hpp>
#include <lockstep/data/sampler.hpp>
#include <lockstep/nn/network.hpp>
#include <lockstep/train/trainer_options.hpp>

namespace lockstep {

/// Throws UsageError, the same on every rank: on options that make no sense, and if a statistics group would have one
/// value a channel, which has no variance. Instantiated for float and double.
template <class Scalar>
void check_passes(const TrainerOptions& options, const Dataset& data, const ReplicaMap& map,
                  const Sampler& sampler, const Network<Scalar>& network);

}  // namespace lockstep
