#include <lockstep/data/sampler.hpp>

#include <lockstep/base/error.hpp>
#include <lockstep/base/random.hpp>

#include <string>

namespace lockstep {
namespace {

__extension__ using Wide = unsigned __int128;

/// Part `part` of `parts` of a range of `size`, whose sizes differ by at most one.
SampleRange share(Index size, Index part, Index parts) {
    const auto cut = [&](Index at) {
        return static_cast<Index>(static_cast<Wide>(at) * static_cast<Wide>(size) / static_cast<Wide>(parts));
    };
    return {cut(part), cut(part + 1)};
}

Index ceiling_ratio(Index numerator, Index denominator) {
    return (numerator - 1) / denominator + 1;  // for numerators from one on; adding first could overflow
}

void require(bool holds, const std::string& name, Index value, const std::string& range) {
    if (!holds)
        throw UsageError("sampler: the number of " + name + " is " + std::to_string(value) + "; it must be " +
                         range);
}

}  // namespace

Sampler::Sampler(const SamplerOptions& options) : options_(options) {
    constexpr Index most_samples = Index{1} << 62;
    require(options.samples >= 1 && options.samples <= most_samples, "samples", options.samples,
            "from 1 to " + std::to_string(most_samples));
    require(options.global_batch >= 1, "samples per global batch", options.global_batch, "at least 1");
    require(options.replicas >= 1, "replicas", options.replicas, "at least 1");
    batches_ = ceiling_ratio(options.samples, options.global_batch);
    start_epoch(0);
}

Index Sampler::largest_slice() const {
    return ceiling_ratio(ceiling_ratio(options_.samples, batches_), options_.replicas);
}

void Sampler::start_epoch(Index epoch) {
    if (options_.shuffle)
        order_.emplace(
            static_cast<std::uint64_t>(options_.samples),
            RandomStream(options_.seed, RandomPurpose::shuffle, static_cast<std::uint64_t>(epoch)));
}

SampleRange Sampler::global_batch(Index step) const {
    return share(options_.samples, step, batches_);
}

SampleRange Sampler::replica_slice(Index step, int replica) const {
    const SampleRange batch = global_batch(step);
    const SampleRange slice = share(batch.size(), replica, options_.replicas);
    return {batch.begin + slice.begin, batch.begin + slice.end};
}

}  // namespace lockstep
