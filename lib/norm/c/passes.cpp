// The C interface: the passes of a layer.
#include "handles.hpp"

using namespace lockstep;
using namespace lockstep::c_interface;

namespace {

BatchShape shape_of(const lockstep_shape& shape) {
    if (shape.batch < 0 || shape.spatial < 0) throw UsageError("a shape has a negative extent");
    if (shape.channel_order != LOCKSTEP_CHANNELS_LAST && shape.channel_order != LOCKSTEP_CHANNELS_FIRST)
        throw UsageError("a shape has an unknown channel order: " + std::to_string(shape.channel_order) +
                         "; choose LOCKSTEP_CHANNELS_LAST or LOCKSTEP_CHANNELS_FIRST");
    return {static_cast<Index>(shape.batch), static_cast<Index>(shape.spatial),
            shape.channel_order == LOCKSTEP_CHANNELS_FIRST ? ChannelOrder::first : ChannelOrder::last};
}

/// The caller's array in the layer's type. Throws UsageError if it is NULL although the shape has values.
template <class Scalar>
const Scalar* input(const void* values, const BatchShape& shape, const char* what) {
    // Not their product, which the layer checks: it may be more than a number can hold.
    if (values == nullptr && shape.batch > 0 && shape.spatial > 0)
        throw UsageError(std::string(what) + " is NULL");
    return static_cast<const Scalar*>(values);
}

template <class Scalar>
Scalar* output(void* values, const BatchShape& shape, const char* what) {
    input<Scalar>(values, shape, what);
    return static_cast<Scalar*>(values);
}

/// The caller's slices.
template <class Slice>
std::span<const Slice> slices_of(const Slice* slices, int64_t count) {
    if (count < 0) throw UsageError("the number of slices is negative");
    if (count > 0) deref(slices, "the array of slices");
    return {slices, static_cast<std::size_t>(count)};
}

template <class Scalar>
ForwardSlice<Scalar> slice_of(const lockstep_forward_slice& slice) {
    const BatchShape shape = shape_of(slice.shape);
    return {input<Scalar>(slice.x, shape, "x of a slice"), output<Scalar>(slice.z, shape, "z of a slice"),
            shape};
}

template <class Scalar>
BackwardSlice<Scalar> slice_of(const lockstep_backward_slice& slice) {
    const BatchShape shape = shape_of(slice.shape);
    if ((slice.gamma_gradient == nullptr) != (slice.beta_gradient == nullptr))
        throw UsageError(
            "a slice has a place for one of gamma_gradient and beta_gradient: give both, or NULL for both");
    return {input<Scalar>(slice.x, shape, "x of a slice"),
            input<Scalar>(slice.dz, shape, "dz of a slice"),
            static_cast<Scalar*>(slice.dx),
            shape,
            static_cast<Scalar*>(slice.gamma_gradient),
            static_cast<Scalar*>(slice.beta_gradient)};
}

/// Begins by `start(moments)`: what lockstep_moments_read may read is there when the forward has ended.
template <class Scalar, class Start>
void begin_forward(Layer<Scalar>& layer, lockstep_moments* saved, Start start) {
    lockstep_moments& moments = deref(saved, "saved");
    moments.complete = false;
    start(moments.moments);
    layer.saved = &moments;
}

template <class Scalar>
void end_forward(Layer<Scalar>& layer) {
    layer.norm.end_forward();
    layer.saved->complete = true;
}

}  // namespace

int lockstep_batch_norm_begin_forward(lockstep_batch_norm* handle, const void* x, void* z,
                                      lockstep_shape extent, lockstep_moments* saved) {
    return with_layer(handle, [&]<class Scalar>(Layer<Scalar>& layer) {
        const BatchShape shape = shape_of(extent);
        const auto* const from = input<Scalar>(x, shape, "x");
        auto* const to = output<Scalar>(z, shape, "z");
        begin_forward(layer, saved,
                      [&](BatchMoments& moments) { layer.norm.begin_forward(from, to, shape, moments); });
    });
}

int lockstep_batch_norm_end_forward(lockstep_batch_norm* handle) {
    return with_layer(handle, [](auto& layer) { end_forward(layer); });
}

int lockstep_batch_norm_forward(lockstep_batch_norm* handle, const void* x, void* z, lockstep_shape extent,
                                lockstep_moments* saved) {
    const int code = lockstep_batch_norm_begin_forward(handle, x, z, extent, saved);
    return code == LOCKSTEP_OK ? lockstep_batch_norm_end_forward(handle) : code;
}

int lockstep_batch_norm_forward_slices(lockstep_batch_norm* handle, const lockstep_forward_slice* slices,
                                       int64_t count, lockstep_moments* saved) {
    return with_layer(handle, [&]<class Scalar>(Layer<Scalar>& layer) {
        layer.forward_slices.clear();
        for (const lockstep_forward_slice& slice : slices_of(slices, count))
            layer.forward_slices.push_back(slice_of<Scalar>(slice));
        begin_forward(layer, saved, [&](BatchMoments& moments) {
            layer.norm.begin_forward(std::span(std::as_const(layer.forward_slices)), moments);
        });
        end_forward(layer);
    });
}

int lockstep_batch_norm_begin_backward(lockstep_batch_norm* handle, const void* x, const void* dz, void* dx,
                                       lockstep_shape extent, const lockstep_moments* saved) {
    return with_layer(handle, [&]<class Scalar>(Layer<Scalar>& layer) {
        const BatchShape shape = shape_of(extent);
        const auto *const values = input<Scalar>(x, shape, "x"), *const gradient =
                                                                     input<Scalar>(dz, shape, "dz");
        layer.norm.begin_backward(values, gradient, static_cast<Scalar*>(dx), shape,
                                  deref(saved, "saved").moments);
    });
}

int lockstep_batch_norm_end_backward(lockstep_batch_norm* handle) {
    return with_layer(handle, [](auto& layer) { layer.norm.end_backward(); });
}

int lockstep_batch_norm_backward(lockstep_batch_norm* handle, const void* x, const void* dz, void* dx,
                                 lockstep_shape extent, const lockstep_moments* saved) {
    const int code = lockstep_batch_norm_begin_backward(handle, x, dz, dx, extent, saved);
    return code == LOCKSTEP_OK ? lockstep_batch_norm_end_backward(handle) : code;
}

int lockstep_batch_norm_backward_slices(lockstep_batch_norm* handle, const lockstep_backward_slice* slices,
                                        int64_t count, const lockstep_moments* saved) {
    return with_layer(handle, [&]<class Scalar>(Layer<Scalar>& layer) {
        const BatchMoments& moments = deref(saved, "saved").moments;
        layer.backward_slices.clear();
        for (const lockstep_backward_slice& slice : slices_of(slices, count))
            layer.backward_slices.push_back(slice_of<Scalar>(slice));
        layer.norm.backward(std::span(std::as_const(layer.backward_slices)), moments);
    });
}

int lockstep_batch_norm_backward_parameters(lockstep_batch_norm* handle, const void* x, const void* dz,
                                            lockstep_shape extent, const lockstep_moments* saved) {
    return with_layer(handle, [&]<class Scalar>(Layer<Scalar>& layer) {
        const BatchShape shape = shape_of(extent);
        const auto *const values = input<Scalar>(x, shape, "x"), *const gradient =
                                                                     input<Scalar>(dz, shape, "dz");
        layer.norm.backward_parameters(values, gradient, shape, deref(saved, "saved").moments);
    });
}

int lockstep_batch_norm_poll(lockstep_batch_norm* handle, int* done) {
    return with_layer(handle, [&](auto& layer) { deref(done, "done") = layer.norm.poll() ? 1 : 0; });
}

int lockstep_batch_norm_infer(const lockstep_batch_norm* handle, const void* x, void* z,
                              lockstep_shape extent) {
    return with_layer(handle, [&]<class Scalar>(const Layer<Scalar>& layer) {
        const BatchShape shape = shape_of(extent);
        const auto* const from = input<Scalar>(x, shape, "x");
        layer.norm.infer(from, output<Scalar>(z, shape, "z"), shape);
    });
}
