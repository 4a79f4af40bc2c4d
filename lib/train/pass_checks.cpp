#include "pass_checks.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/base/settings.hpp>

#include <cstddef>
#include <set>
#include <string>

namespace lockstep {
namespace {

void check_epoch(const TrainerOptions& options, const Dataset& data, const Sampler& sampler) {
    if (options.schedule.epochs < 1) throw UsageError("epochs must be at least 1");
    if (options.clip_norm && !(*options.clip_norm > 0))
        throw UsageError("clip norm must be positive, but is " + shortest_text(*options.clip_norm));
    if (options.augmentation.enabled() && data.input_shape().pixels() == 1)
        throw UsageError("crops and flips are for images, but the samples of data set " + data.name() +
                         " are " + data.input_shape().to_string() + " values without height and width");
    if (options.precise_batches < 0 || options.precise_batches > sampler.batches())
        throw UsageError("precise-bn: " + std::to_string(options.precise_batches) +
                         " batches are asked for, but an epoch has " + std::to_string(sampler.batches()));
}

template <class Scalar>
void check_statistics_groups(const TrainerOptions& options, const Dataset& data, const ReplicaMap& map,
                             const Sampler& sampler, const Network<Scalar>& network) {
    const auto groups = map.groups(options.batch_norm.group_size(map.replicas()));
    std::set<Index> sizes;  // of global batches: two at most, and how one is sliced hangs on its size alone
    const std::size_t different = data.size() % sampler.batches() == 0 ? 1 : 2;
    for (Index step = 0; sizes.size() < different; ++step) {
        if (!sizes.insert(sampler.global_batch(step).size()).second) continue;
        for (const ReplicaRange group : groups) {
            Index samples = 0;
            for (int replica = group.begin; replica < group.end; ++replica)
                samples += sampler.replica_slice(step, replica).size();
            if (samples != 1) continue;
            for (const BatchNorm<Scalar>* layer : network.batch_norms())
                if (layer->input_shape().pixels() == 1)
                    throw UsageError(
                        "model, layer " + layer->norm().options().name +
                        " (batchnorm): a statistics group has one value per channel at step " +
                        std::to_string(step) +
                        ", which has no variance: use a larger batch-size, bn sync or larger groups");
        }
    }
}

}  // namespace

template <class Scalar>
void check_passes(const TrainerOptions& options, const Dataset& data, const ReplicaMap& map,
                  const Sampler& sampler, const Network<Scalar>& network) {
    check_epoch(options, data, sampler);
    check_statistics_groups(options, data, map, sampler, network);
}

template void check_passes(const TrainerOptions&, const Dataset&, const ReplicaMap&, const Sampler&,
                           const Network<float>&);
template void check_passes(const TrainerOptions&, const Dataset&, const ReplicaMap&, const Sampler&,
                           const Network<double>&);

}  // namespace lockstep
