// The C interface: layers, their arrays and their settings.
#include "handles.hpp"
#include "options.hpp"

#include <lockstep/comm/agreement.hpp>
#include <lockstep/comm/failure_guard.hpp>
#include <lockstep/norm/statistics_groups.hpp>

using namespace lockstep;
using namespace lockstep::c_interface;

namespace {

template <class Scalar>
std::span<Scalar> values_of(SyncBatchNorm<Scalar>& norm, int which) {
    const auto channels = static_cast<std::size_t>(norm.channels());
    switch (which) {
        case LOCKSTEP_GAMMA:
            return norm.gamma();
        case LOCKSTEP_BETA:
            return norm.beta();
        case LOCKSTEP_RUNNING_MEAN:
            return norm.running_mean();
        case LOCKSTEP_RUNNING_VAR:
            return norm.running_var();
        case LOCKSTEP_GAMMA_GRADIENT:
            return norm.gradients().first(channels);
        case LOCKSTEP_BETA_GRADIENT:
            return norm.gradients().last(channels);
        default:
            throw UsageError("a layer has no such values: " + std::to_string(which));
    }
}

template <class Scalar>
int type_of(const Layer<Scalar>&) {
    return sizeof(Scalar) == sizeof(float) ? LOCKSTEP_FLOAT : LOCKSTEP_DOUBLE;
}

void require_type(int type) {
    if (type != LOCKSTEP_FLOAT && type != LOCKSTEP_DOUBLE)
        throw UsageError("a layer's type is LOCKSTEP_FLOAT or LOCKSTEP_DOUBLE, not " + std::to_string(type));
}

template <class Scalar>
lockstep_batch_norm* new_layer(Index channels, const Communicator& communicator,
                               const BatchNormOptions& options, const ReplicaPlacement& placement) {
    return new lockstep_batch_norm{
        Layer<Scalar>(SyncBatchNorm<Scalar>(channels, communicator, options, placement))};
}

}  // namespace

int lockstep_batch_norm_create(int type, int64_t channels, const lockstep_communicator* communicator,
                               const lockstep_batch_norm_options* options, lockstep_batch_norm** layer) {
    return create(layer, "the place for the layer", [&] {
        const Communicator& comm = deref(communicator, "the communicator").communicator;
        BatchNormOptions chosen;
        ReplicaPlacement placement;
        const std::string fault = fault_of([&] {
            require_type(type);
            const lockstep_batch_norm_options known = known_options(options);
            chosen = layer_options(known);
            placement = placement_of(known.replicas, known.group);
        });
        // The others wait in the construction of the layer, which makes the same comparison: this ends theirs, too.
        if (!fault.empty()) check_agreement(comm, "batch norm", {}, fault);
        const auto size = static_cast<Index>(channels);
        return type == LOCKSTEP_FLOAT ? new_layer<float>(size, comm, chosen, placement)
                                      : new_layer<double>(size, comm, chosen, placement);
    });
}

void lockstep_batch_norm_free(lockstep_batch_norm* layer) {
    delete layer;
}

int lockstep_batch_norm_describe(const lockstep_batch_norm* handle, int32_t* type, int64_t* channels,
                                 int32_t* replicas, int32_t* groups, const char** name) {
    return with_layer(handle, [&](const auto& layer) {
        write_if_wanted<int32_t>(type, type_of(layer));
        write_if_wanted<int64_t>(channels, layer.norm.channels());
        write_if_wanted<int32_t>(replicas, layer.norm.groups().hosted_replicas());
        write_if_wanted<int32_t>(groups, layer.norm.groups().size());
        write_if_wanted(name, layer.norm.name().c_str());
    });
}

int lockstep_batch_norm_values(lockstep_batch_norm* handle, int which, void** values, int64_t* count) {
    return with_layer(handle, [&](auto& layer) {
        void*& place = deref(values, "the place for the values");
        const auto chosen = values_of(layer.norm, which);
        place = chosen.data();
        write_if_wanted(count, static_cast<int64_t>(chosen.size()));
    });
}

int lockstep_batch_norm_bind(lockstep_batch_norm* handle, void* gamma, void* beta, void* running_mean,
                             void* running_var) {
    return guarded([&] {
        deref(handle, "the layer");
        for (const auto& [array, what] :
             {std::pair(gamma, "gamma"), std::pair(beta, "beta"), std::pair(running_mean, "running_mean"),
              std::pair(running_var, "running_var")})
            if (array == nullptr) throw UsageError(std::string(what) + " is NULL");
        const auto move = [&]<class Scalar>(Layer<Scalar>& layer) {
            layer.norm.bind({static_cast<Scalar*>(gamma), static_cast<Scalar*>(beta),
                             static_cast<Scalar*>(running_mean), static_cast<Scalar*>(running_var)});
        };
        std::visit(move, handle->layer);
    });
}

int lockstep_batch_norm_batches_tracked(const lockstep_batch_norm* handle, int64_t* batches,
                                        int64_t* with_variance) {
    return with_layer(handle, [&](const auto& layer) {
        const auto& averages = layer.norm.averages();
        deref(batches, "the place for the number of batches") = averages.batches();
        write_if_wanted<int64_t>(with_variance, averages.batches_with_variance());
    });
}

int lockstep_batch_norm_set_batches_tracked(lockstep_batch_norm* handle, int64_t batches,
                                            int64_t with_variance) {
    return with_layer(handle,
                      [&](auto& layer) { layer.norm.averages().set_batches(batches, with_variance); });
}

int lockstep_batch_norm_zero_gradients(lockstep_batch_norm* handle) {
    return with_layer(handle, [](auto& layer) { layer.norm.zero_gradients(); });
}

int lockstep_batch_norm_set_epsilon(lockstep_batch_norm* handle, double epsilon) {
    return with_layer(handle, [&](auto& layer) { layer.norm.set_epsilon(epsilon); });
}

int lockstep_batch_norm_set_momentum(lockstep_batch_norm* handle, double momentum, int cumulative) {
    return with_layer(handle, [&](auto& layer) {
        layer.norm.set_momentum(cumulative != 0 ? std::nullopt : std::optional(momentum));
    });
}

int lockstep_batch_norm_set_frozen(lockstep_batch_norm* handle, int frozen) {
    return with_layer(handle, [&](auto& layer) { layer.norm.set_frozen(frozen != 0); });
}

int lockstep_batch_norm_change_communicator(lockstep_batch_norm* handle,
                                            const lockstep_communicator* communicator, int32_t replicas,
                                            int32_t group) {
    return with_layer(handle, [&](auto& layer) {
        layer.norm.change_communicator(deref(communicator, "the communicator").communicator,
                                       placement_of(replicas, group));
    });
}

int lockstep_batch_norm_synchronize_running_averages(lockstep_batch_norm* handle,
                                                     const lockstep_communicator* among, double weight) {
    return with_layer(handle, [&](auto& layer) {
        layer.norm.averages().pool(deref(among, "the communicator").communicator, weight);
    });
}

int lockstep_batch_norm_announce_failure(const lockstep_batch_norm* handle, const char* why) {
    return with_layer(handle, [&](const auto& layer) {
        require_mpi("announcing a failure");
        layer.norm.communicator().announce_failure(&deref(why, "the reason"));
    });
}
