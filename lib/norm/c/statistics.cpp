// The C interface: moments of a batch, and of a population.
#include "handles.hpp"

#include <lockstep/norm/precise_statistics.hpp>

using namespace lockstep;
using namespace lockstep::c_interface;

struct lockstep_precise_statistics {
    std::variant<PreciseStatistics<float>, PreciseStatistics<double>> statistics;
};

namespace {

template <class Action>
int with_statistics(lockstep_precise_statistics* handle, Action action) noexcept {
    return guarded([&] { std::visit(action, deref(handle, "the handle of precise statistics").statistics); });
}

}  // namespace

int lockstep_moments_create(lockstep_moments** moments) {
    return create(moments, "the place for the moments", [] { return new lockstep_moments; });
}

void lockstep_moments_free(lockstep_moments* moments) {
    delete moments;
}

int lockstep_moments_read(const lockstep_moments* handle, int32_t group, double* count, const double** mean,
                          const double** variance, int64_t* channels) {
    return guarded([&] {
        const lockstep_moments& saved = deref(handle, "the handle of moments");
        const BatchMoments& moments = saved.moments;
        if (!saved.complete)
            throw UsageError("these moments are of no forward, or of one that has not ended");
        if (group < 0 || group >= moments.groups())
            throw UsageError("these moments have no statistics group " + std::to_string(group) +
                             ": this rank takes part in " + std::to_string(moments.groups()) + ", from 0 on");
        write_if_wanted(count, moments.count(group));
        write_if_wanted(mean, moments.mean(group).data());
        write_if_wanted(variance, moments.variance(group).data());
        write_if_wanted(channels, static_cast<int64_t>(moments.mean(group).size()));
    });
}

int lockstep_precise_statistics_create(lockstep_batch_norm* layer, lockstep_precise_statistics** statistics) {
    return create(statistics, "the place for the precise statistics", [&] {
        const auto make = []<class Scalar>(Layer<Scalar>& chosen) {
            return new lockstep_precise_statistics{PreciseStatistics<Scalar>(chosen.norm)};
        };
        return std::visit(make, deref(layer, "the layer").layer);
    });
}

void lockstep_precise_statistics_free(lockstep_precise_statistics* statistics) {
    delete statistics;
}

int lockstep_precise_statistics_add(lockstep_precise_statistics* handle) {
    return with_statistics(handle, [](auto& statistics) { statistics.add(); });
}

int lockstep_precise_statistics_finish(lockstep_precise_statistics* handle, int64_t least_batches) {
    return with_statistics(handle, [&](auto& statistics) { statistics.finish(least_batches); });
}

int lockstep_precise_statistics_finish_among(lockstep_precise_statistics* handle,
                                             const lockstep_communicator* among, int64_t least_batches) {
    return with_statistics(handle, [&](auto& statistics) {
        statistics.finish(deref(among, "the communicator").communicator, least_batches);
    });
}
