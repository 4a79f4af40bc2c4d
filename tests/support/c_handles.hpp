/// The handles of the C interface, freed at the end of their lives; and what tests make most of them from.
#pragma once

#include "support/mpi_values.hpp"

#include <lockstep/lockstep.h>
#include <lockstep/norm/batch_norm_types.hpp>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

namespace lockstep::testing {

template <auto free>
struct FreedBy {
    template <class Handle>
    void operator()(Handle* handle) const {
        free(handle);
    }
};

using CSession = std::unique_ptr<lockstep_session, FreedBy<lockstep_session_free>>;
using CCommunicator = std::unique_ptr<lockstep_communicator, FreedBy<lockstep_communicator_free>>;
using CLayer = std::unique_ptr<lockstep_batch_norm, FreedBy<lockstep_batch_norm_free>>;
using CMoments = std::unique_ptr<lockstep_moments, FreedBy<lockstep_moments_free>>;
using CPreciseStatistics =
    std::unique_ptr<lockstep_precise_statistics, FreedBy<lockstep_precise_statistics_free>>;
using CThreadPool = std::unique_ptr<lockstep_thread_pool, FreedBy<lockstep_thread_pool_free>>;

/// Throws with the library's words if a call that is to succeed fails: the test fails.
inline void must(int code) {
    if (code != LOCKSTEP_OK)
        throw std::runtime_error("code " + std::to_string(code) + ": " + lockstep_message());
}

/// What create(place) makes.
template <class Owner, class Create>
Owner made(Create create) {
    typename Owner::pointer handle = nullptr;
    must(create(&handle));
    return Owner(handle);
}

inline CCommunicator c_world(double timeout_seconds = 30) {
    return made<CCommunicator>(
        [&](auto* place) { return lockstep_communicator_create_world(timeout_seconds, place); });
}

inline CCommunicator c_self() {
    return made<CCommunicator>(lockstep_communicator_create_self);
}

inline CMoments c_moments() {
    return made<CMoments>(lockstep_moments_create);
}

inline lockstep_batch_norm_options c_options() {
    lockstep_batch_norm_options options;
    must(lockstep_batch_norm_default_options(&options, sizeof options));
    return options;
}

template <class Scalar>
constexpr int c_type = sizeof(Scalar) == sizeof(float) ? LOCKSTEP_FLOAT : LOCKSTEP_DOUBLE;

inline CLayer c_layer(int type, std::int64_t channels, const CCommunicator& communicator,
                      const lockstep_batch_norm_options& options) {
    return made<CLayer>([&](auto* place) {
        return lockstep_batch_norm_create(type, channels, communicator.get(), &options, place);
    });
}

inline lockstep_shape c_shape(const BatchShape& shape) {
    return {shape.batch, shape.spatial,
            shape.order == ChannelOrder::first ? LOCKSTEP_CHANNELS_FIRST : LOCKSTEP_CHANNELS_LAST};
}

/// One of the layer's arrays.
template <class Scalar>
std::span<Scalar> c_values(const CLayer& layer, int which) {
    void* values = nullptr;
    std::int64_t count = 0;
    must(lockstep_batch_norm_values(layer.get(), which, &values, &count));
    return {static_cast<Scalar*>(values), static_cast<std::size_t>(count)};
}

}  // namespace lockstep::testing
