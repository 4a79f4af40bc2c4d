/// Which samples each replica sees at each step: a function of the seed and the epoch, never of the ranks.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/base/keyed_bijection.hpp>
#include <lockstep/base/shape.hpp>

#include <cstdint>
#include <optional>

namespace lockstep {

/// The positions begin … end − 1 of an epoch's order.
struct SampleRange {
    Index begin = 0;
    Index end = 0;

    Index size() const { return end - begin; }
    friend bool operator==(const SampleRange&, const SampleRange&) = default;
};

struct SamplerOptions {
    Index samples = 0;       // N, at most 2⁶²
    Index global_batch = 0;  // G: replicas × samples per replica and step
    int replicas = 1;        // R
    std::uint64_t seed = 1;
    bool shuffle = true;
};

/// Cuts an epoch into B = ⌈N/G⌉ global batches and each of those into R contiguous slices, whose sizes differ
/// by at most one in either case. Every sample is visited exactly once an epoch.
class LOCKSTEP_EXPORT Sampler {
  public:
    /// Starts epoch 0. Throws UsageError if N, G or R is below one, or N above 2⁶².
    explicit Sampler(const SamplerOptions& options);

    /// Steps of an epoch, B.
    Index batches() const { return batches_; }
    /// The most samples that any replica gets in a step: what its buffers must hold.
    Index largest_slice() const;

    /// From here on the order is that of an epoch: computed, so that it takes no memory however many samples there are.
    void start_epoch(Index epoch);

    /// What all replicas together see at a step of the epoch, 0 … batches() − 1.
    SampleRange global_batch(Index step) const;
    /// What one replica sees of that; empty where the global batch has fewer samples than there are replicas.
    SampleRange replica_slice(Index step, int replica) const;

    /// The sample at a position of the epoch's order.
    Index sample(Index position) const {
        return order_ ? static_cast<Index>((*order_)(static_cast<std::uint64_t>(position))) : position;
    }

  private:
    SamplerOptions options_;
    Index batches_ = 0;
    std::optional<KeyedBijection> order_;  // none without shuffling
};

}  // namespace lockstep
