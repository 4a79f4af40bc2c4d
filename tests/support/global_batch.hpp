/// A mini-batch that is spread over replicas, known to every rank: each can compute what one process would.
#pragma once

#include "support/batch_norm_reference.hpp"

#include <lockstep/comm/replica_map.hpp>
#include <lockstep/norm/sync_batch_norm.hpp>

#include <algorithm>
#include <numeric>
#include <vector>

namespace lockstep::testing {

template <class Scalar>
struct GlobalBatch {
    Index channels;
    Index spatial = 1;
    ChannelOrder order = ChannelOrder::last;
    std::vector<Index> sizes;  ///< samples of each replica
    std::vector<Scalar> x, dz, gamma, beta;

    /// Normal values; γ and β differ from 1 and 0.
    GlobalBatch(Index channel_count, std::vector<Index> samples, Index positions = 1,
                ChannelOrder channel_order = ChannelOrder::last, double mean = 0.5, double deviation = 2.0,
                std::uint64_t seed = 1)
        : channels(channel_count), spatial(positions), order(channel_order), sizes(std::move(samples)) {
        const auto count = static_cast<std::size_t>(whole().values() * channels);
        x = normal_values<Scalar>(count, mean, deviation, seed);
        dz = normal_values<Scalar>(count, 0.1, 1.0, seed + 1000);
        gamma = normal_values<Scalar>(static_cast<std::size_t>(channels), 1.0, 0.3, seed + 2000);
        beta = normal_values<Scalar>(static_cast<std::size_t>(channels), 0.0, 0.5, seed + 3000);
    }

    int replicas() const { return static_cast<int>(sizes.size()); }
    BatchShape whole() const {
        return {std::accumulate(sizes.begin(), sizes.end(), Index{0}), spatial, order};
    }
    BatchShape shape(int replica) const { return {sizes[static_cast<std::size_t>(replica)], spatial, order}; }
    /// Where a replica's values begin: samples are outermost in both channel orders.
    std::size_t begin(int replica) const {
        const Index samples = std::accumulate(sizes.begin(), sizes.begin() + replica, Index{0});
        return static_cast<std::size_t>(samples * spatial * channels);
    }
    std::size_t length(int replica) const {
        return static_cast<std::size_t>(shape(replica).values() * channels);
    }
    std::vector<Scalar> part(const std::vector<Scalar>& all, int replica) const {
        const auto first = all.begin() + static_cast<std::ptrdiff_t>(begin(replica));
        return {first, first + static_cast<std::ptrdiff_t>(length(replica))};
    }
    Reference reference(double epsilon = 1e-5) const {
        return reference_batch_norm(x, dz, channels, whole(), gamma, beta, epsilon);
    }
};

/// What one step gives on a rank. z and dx are as long as the global batch, filled where the rank's replicas
/// are.
template <class Scalar>
struct StepResult {
    std::vector<Scalar> z, dx;
    std::vector<std::vector<Scalar>> gradients;  ///< dγ, then dβ, of each hosted replica
    std::vector<Scalar> running_mean, running_var;
    BatchMoments saved;
};

template <class Scalar>
void set_parameters(SyncBatchNorm<Scalar>& layer, const GlobalBatch<Scalar>& batch) {
    std::ranges::copy(batch.gamma, layer.gamma().begin());
    std::ranges::copy(batch.beta, layer.beta().begin());
}

/// Forward and backward of the replicas `hosted` of the batch.
template <class Scalar>
StepResult<Scalar> run_step(SyncBatchNorm<Scalar>& layer, const GlobalBatch<Scalar>& batch,
                            ReplicaRange hosted) {
    StepResult<Scalar> result;
    result.z.assign(batch.x.size(), Scalar(0));
    result.dx.assign(batch.x.size(), Scalar(0));
    result.gradients.assign(static_cast<std::size_t>(hosted.size()),
                            std::vector<Scalar>(static_cast<std::size_t>(2 * batch.channels)));
    std::vector<ForwardSlice<Scalar>> forward;
    std::vector<BackwardSlice<Scalar>> backward;
    for (int replica = hosted.begin; replica < hosted.end; ++replica) {
        const std::size_t at = batch.begin(replica);
        auto& gradients = result.gradients[static_cast<std::size_t>(replica - hosted.begin)];
        forward.push_back({batch.x.data() + at, result.z.data() + at, batch.shape(replica)});
        backward.push_back({batch.x.data() + at, batch.dz.data() + at, result.dx.data() + at,
                            batch.shape(replica), gradients.data(), gradients.data() + batch.channels});
    }
    layer.forward(forward, result.saved);
    layer.backward(backward, result.saved);
    result.running_mean.assign(layer.running_mean().begin(), layer.running_mean().end());
    result.running_var.assign(layer.running_var().begin(), layer.running_var().end());
    return result;
}

}  // namespace lockstep::testing
