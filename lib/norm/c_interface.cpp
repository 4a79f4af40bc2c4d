#include <lockstep/lockstep.h>
#include <lockstep/base/error.hpp>
#include <lockstep/norm/sync_batch_norm.hpp>

#include <exception>
#include <optional>
#include <string>
#include <variant>

using namespace lockstep;

struct lockstep_communicator {
    Communicator communicator;
};

struct lockstep_moments {
    BatchMoments moments;
};

struct lockstep_batch_norm {
    std::variant<SyncBatchNorm<float>, SyncBatchNorm<double>> layer;
};

namespace {

std::string& message() {
    // As errno: what failed last on this thread.
    thread_local std::string text;
    return text;
}

int report(int code, const char* text) noexcept {
    try {
        message() = text;
    } catch (...) {  // out of memory: the code alone has to do
        message().clear();
    }
    return code;
}

/// Runs `action`; turns what it throws into a code and a message.
template <class Action>
int guarded(Action action) noexcept {
    try {
        action();
        return LOCKSTEP_OK;
    } catch (const UsageError& error) {
        return report(LOCKSTEP_USAGE_ERROR, error.what());
    } catch (const CommunicationError& error) {
        return report(LOCKSTEP_COMMUNICATION_ERROR, error.what());
    } catch (const std::exception& error) {
        return report(LOCKSTEP_OTHER_ERROR, error.what());
    } catch (...) {
        return report(LOCKSTEP_OTHER_ERROR, "unknown error");
    }
}

template <class Handle>
Handle& deref(Handle* handle, const char* what) {
    if (handle == nullptr) throw UsageError(std::string(what) + " is NULL");
    return *handle;
}

template <class Scalar>
Scalar scalar_of(const SyncBatchNorm<Scalar>&);

/// Calls action(layer) with the layer in its own type.
template <class Handle, class Action>
int with_layer(Handle* handle, Action action) noexcept {
    return guarded([&] { std::visit(action, deref(handle, "the layer").layer); });
}

/// The caller's array as the layer's type says.
template <class Layer>
auto* input(const Layer& layer, const void* values) {
    return static_cast<const decltype(scalar_of(layer))*>(values);
}
template <class Layer>
auto* output(const Layer& layer, void* values) {
    return static_cast<decltype(scalar_of(layer))*>(values);
}

BatchShape shape_of(const lockstep_shape& shape) {
    if (shape.batch < 0 || shape.spatial < 0) throw UsageError("a shape has a negative extent");
    if (shape.channel_order != LOCKSTEP_CHANNELS_LAST && shape.channel_order != LOCKSTEP_CHANNELS_FIRST)
        throw UsageError("a shape has an unknown channel order");
    return {static_cast<Index>(shape.batch), static_cast<Index>(shape.spatial),
            shape.channel_order == LOCKSTEP_CHANNELS_FIRST ? ChannelOrder::first : ChannelOrder::last};
}

void require_array(const void* values, const BatchShape& shape, const char* what) {
    // Not their product, which the layer checks: it may be more than a number can hold.
    if (values == nullptr && shape.batch > 0 && shape.spatial > 0)
        throw UsageError(std::string(what) + " is NULL");
}

BatchNormOptions options_of(const lockstep_batch_norm_options& options) {
    BatchNormOptions result;
    result.epsilon = options.epsilon;
    if (options.cumulative != 0)
        result.momentum = std::nullopt;
    else
        result.momentum = options.momentum;
    result.affine = options.affine != 0;
    result.track_running_averages = options.track_running_averages != 0;
    result.frozen = options.frozen != 0;
    if (options.name != nullptr) result.name = options.name;
    return result;
}

template <class Layer>
auto values_of(Layer& layer, int which) {
    const auto channels = static_cast<std::size_t>(layer.channels());
    switch (which) {
        case LOCKSTEP_GAMMA:
            return layer.gamma();
        case LOCKSTEP_BETA:
            return layer.beta();
        case LOCKSTEP_RUNNING_MEAN:
            return layer.running_mean();
        case LOCKSTEP_RUNNING_VAR:
            return layer.running_var();
        case LOCKSTEP_GAMMA_GRADIENT:
            return layer.gradients().first(channels);
        case LOCKSTEP_BETA_GRADIENT:
            return layer.gradients().last(channels);
        default:
            throw UsageError("a layer has no such values: " + std::to_string(which));
    }
}

}  // namespace

// Each of these catches whatever is thrown: no exception may cross into C.

const char* lockstep_message(void) {
    return message().c_str();
}

int lockstep_communicator_create(MPI_Comm parent, double timeout_seconds,
                                 lockstep_communicator** communicator) {
    return guarded([&] {
        deref(communicator, "the place for the communicator") =
            new lockstep_communicator{Communicator(parent, {.timeout_seconds = timeout_seconds})};
    });
}

int lockstep_communicator_create_fortran(MPI_Fint parent, double timeout_seconds,
                                         lockstep_communicator** communicator) {
    return lockstep_communicator_create(MPI_Comm_f2c(parent), timeout_seconds, communicator);
}

void lockstep_communicator_free(lockstep_communicator* communicator) {
    delete communicator;
}

void lockstep_batch_norm_default_options(lockstep_batch_norm_options* options) {
    if (options == nullptr) return;
    const BatchNormOptions defaults;
    *options = {};
    options->epsilon = defaults.epsilon;
    options->momentum = *defaults.momentum;
    options->affine = 1;
    options->track_running_averages = 1;
}

int lockstep_batch_norm_create(int type, int64_t channels, const lockstep_communicator* communicator,
                               const lockstep_batch_norm_options* options, lockstep_batch_norm** layer) {
    return guarded([&] {
        auto& place = deref(layer, "the place for the layer");
        const Communicator& comm = deref(communicator, "the communicator").communicator;
        const BatchNormOptions chosen = options != nullptr ? options_of(*options) : BatchNormOptions();
        const auto size = static_cast<Index>(channels);
        if (type == LOCKSTEP_FLOAT)
            place = new lockstep_batch_norm{SyncBatchNorm<float>(size, comm, chosen)};
        else if (type == LOCKSTEP_DOUBLE)
            place = new lockstep_batch_norm{SyncBatchNorm<double>(size, comm, chosen)};
        else
            throw UsageError("a layer's type is LOCKSTEP_FLOAT or LOCKSTEP_DOUBLE");
    });
}

void lockstep_batch_norm_free(lockstep_batch_norm* layer) {
    delete layer;
}

int lockstep_moments_create(lockstep_moments** moments) {
    return guarded([&] { deref(moments, "the place for the moments") = new lockstep_moments; });
}

void lockstep_moments_free(lockstep_moments* moments) {
    delete moments;
}

int lockstep_batch_norm_begin_forward(lockstep_batch_norm* handle, const void* x, void* z,
                                      lockstep_shape extent, lockstep_moments* saved) {
    return with_layer(handle, [&](auto& layer) {
        const BatchShape shape = shape_of(extent);
        require_array(x, shape, "x");
        require_array(z, shape, "z");
        layer.begin_forward(input(layer, x), output(layer, z), shape, deref(saved, "saved").moments);
    });
}

int lockstep_batch_norm_end_forward(lockstep_batch_norm* handle) {
    return with_layer(handle, [](auto& layer) { layer.end_forward(); });
}

int lockstep_batch_norm_forward(lockstep_batch_norm* handle, const void* x, void* z, lockstep_shape extent,
                                lockstep_moments* saved) {
    const int code = lockstep_batch_norm_begin_forward(handle, x, z, extent, saved);
    return code == LOCKSTEP_OK ? lockstep_batch_norm_end_forward(handle) : code;
}

int lockstep_batch_norm_begin_backward(lockstep_batch_norm* handle, const void* x, const void* dz, void* dx,
                                       lockstep_shape extent, const lockstep_moments* saved) {
    return with_layer(handle, [&](auto& layer) {
        const BatchShape shape = shape_of(extent);
        require_array(x, shape, "x");
        require_array(dz, shape, "dz");
        layer.begin_backward(input(layer, x), input(layer, dz), output(layer, dx), shape,
                             deref(saved, "saved").moments);
    });
}

int lockstep_batch_norm_end_backward(lockstep_batch_norm* handle) {
    return with_layer(handle, [](auto& layer) { layer.end_backward(); });
}

int lockstep_batch_norm_backward(lockstep_batch_norm* handle, const void* x, const void* dz, void* dx,
                                 lockstep_shape extent, const lockstep_moments* saved) {
    const int code = lockstep_batch_norm_begin_backward(handle, x, dz, dx, extent, saved);
    return code == LOCKSTEP_OK ? lockstep_batch_norm_end_backward(handle) : code;
}

int lockstep_batch_norm_backward_parameters(lockstep_batch_norm* handle, const void* x, const void* dz,
                                            lockstep_shape extent, const lockstep_moments* saved) {
    return with_layer(handle, [&](auto& layer) {
        const BatchShape shape = shape_of(extent);
        require_array(x, shape, "x");
        require_array(dz, shape, "dz");
        layer.backward_parameters(input(layer, x), input(layer, dz), shape, deref(saved, "saved").moments);
    });
}

int lockstep_batch_norm_poll(lockstep_batch_norm* handle, int* done) {
    return with_layer(handle, [&](auto& layer) { deref(done, "done") = layer.poll() ? 1 : 0; });
}

int lockstep_batch_norm_infer(const lockstep_batch_norm* handle, const void* x, void* z,
                              lockstep_shape extent) {
    return with_layer(handle, [&](const auto& layer) {
        const BatchShape shape = shape_of(extent);
        require_array(x, shape, "x");
        require_array(z, shape, "z");
        layer.infer(input(layer, x), output(layer, z), shape);
    });
}

int lockstep_batch_norm_values(lockstep_batch_norm* handle, int which, void** values, int64_t* count) {
    return with_layer(handle, [&](auto& layer) {
        const auto chosen = values_of(layer, which);
        deref(values, "the place for the values") = chosen.data();
        if (count != nullptr) *count = static_cast<int64_t>(chosen.size());
    });
}

int lockstep_batch_norm_batches_tracked(const lockstep_batch_norm* handle, int64_t* batches) {
    return with_layer(handle, [&](const auto& layer) {
        deref(batches, "the place for the number of batches") = layer.averages().batches();
    });
}

int lockstep_batch_norm_set_batches_tracked(lockstep_batch_norm* handle, int64_t batches) {
    return with_layer(handle, [&](auto& layer) {
        if (batches < 0) throw UsageError("the number of batches is negative");
        layer.averages().set_batches(batches);
    });
}

int lockstep_batch_norm_zero_gradients(lockstep_batch_norm* handle) {
    return with_layer(handle, [](auto& layer) { layer.zero_gradients(); });
}

int lockstep_batch_norm_set_frozen(lockstep_batch_norm* handle, int frozen) {
    return with_layer(handle, [&](auto& layer) { layer.set_frozen(frozen != 0); });
}

int lockstep_batch_norm_change_communicator(lockstep_batch_norm* handle,
                                            const lockstep_communicator* communicator) {
    return with_layer(handle, [&](auto& layer) {
        layer.change_communicator(deref(communicator, "the communicator").communicator);
    });
}

int lockstep_batch_norm_synchronize_running_averages(lockstep_batch_norm* handle,
                                                     const lockstep_communicator* among, double weight) {
    return with_layer(handle, [&](auto& layer) {
        layer.averages().pool(deref(among, "the communicator").communicator, weight);
    });
}
