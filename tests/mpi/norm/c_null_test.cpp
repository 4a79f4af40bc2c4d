// The C interface: NULL, wherever something is due, is an error code with a message.
#include "support/c_handles.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <vector>

namespace lockstep {
namespace {

using testing::c_layer;
using testing::c_moments;
using testing::c_options;
using testing::c_world;
using testing::CCommunicator;
using testing::CLayer;
using testing::CMoments;
using testing::must;

struct NullCase {
    const char* words;
    std::function<int()> call;
};

TEST(CNull, IsAnErrorCodeThatSaysOfWhat) {
    const CCommunicator world = c_world();
    const CLayer owner = c_layer(LOCKSTEP_DOUBLE, 2, world, c_options());
    const CMoments moments = c_moments();
    const std::vector<double> values_of_x{1, 2, 3, 4, 5, 6, 7, 8};
    std::vector<double> values_of_z(8), values_of_dx(8);
    const lockstep_shape shape{2, 2, LOCKSTEP_CHANNELS_LAST};
    const lockstep_communicator* const comm = world.get();
    double numbers[2] = {};
    std::int32_t number = 0;
    std::int64_t count = 0;
    int done = 0;
    void* values = nullptr;
    lockstep_communicator* part = nullptr;
    lockstep_batch_norm* norm = nullptr;
    lockstep_precise_statistics* precise = nullptr;
    const double *x = values_of_x.data(), *dz = x;
    double *z = values_of_z.data(), *dx = values_of_dx.data();
    lockstep_batch_norm* const layer = owner.get();
    lockstep_moments* const saved = moments.get();
    const lockstep_forward_slice forward{x, z, shape};
    const lockstep_backward_slice backward{x, dz, dx, shape, nullptr, nullptr};
    must(lockstep_batch_norm_forward(layer, x, z, shape, saved));
    const char *layer_is = "the layer is NULL", *communicator_is = "the communicator is NULL",
               *place_is = "the place for ";
    const std::vector<NullCase> cases{
        {place_is, [&] { return lockstep_session_create(nullptr); }},
        {place_is, [&] { return lockstep_communicator_create(MPI_COMM_WORLD, 30, nullptr); }},
        {place_is,
         [&] { return lockstep_communicator_create_fortran(MPI_Comm_c2f(MPI_COMM_WORLD), 30, nullptr); }},
        {place_is, [&] { return lockstep_communicator_create_world(30, nullptr); }},
        {place_is, [&] { return lockstep_communicator_create_self(nullptr); }},
        {communicator_is, [&] { return lockstep_communicator_rank(nullptr, &number); }},
        {place_is, [&] { return lockstep_communicator_rank(comm, nullptr); }},
        {communicator_is, [&] { return lockstep_communicator_size(nullptr, &number); }},
        {place_is, [&] { return lockstep_communicator_size(comm, nullptr); }},
        {communicator_is, [&] { return lockstep_communicator_split(nullptr, 0, 0, &part); }},
        {place_is, [&] { return lockstep_communicator_split(comm, 0, 0, nullptr); }},
        {communicator_is, [&] { return lockstep_communicator_announce_failure(nullptr, "why"); }},
        {"the reason is NULL", [&] { return lockstep_communicator_announce_failure(comm, nullptr); }},
        {communicator_is, [&] { return lockstep_communicator_check_agreement(nullptr, "a", "b", "c"); }},
        {"what is NULL", [&] { return lockstep_communicator_check_agreement(comm, nullptr, "b", "c"); }},
        {"key is NULL", [&] { return lockstep_communicator_check_agreement(comm, "a", nullptr, "c"); }},
        {"value is NULL", [&] { return lockstep_communicator_check_agreement(comm, "a", "b", nullptr); }},
        {layer_is, [&] { return lockstep_batch_norm_announce_failure(nullptr, "why"); }},
        {"the reason is NULL", [&] { return lockstep_batch_norm_announce_failure(layer, nullptr); }},
        {place_is,
         [&] { return lockstep_batch_norm_default_options(nullptr, sizeof(lockstep_batch_norm_options)); }},
        {communicator_is,
         [&] { return lockstep_batch_norm_create(LOCKSTEP_FLOAT, 1, nullptr, nullptr, &norm); }},
        {place_is, [&] { return lockstep_batch_norm_create(LOCKSTEP_FLOAT, 1, comm, nullptr, nullptr); }},
        {place_is, [&] { return lockstep_moments_create(nullptr); }},
        {"the handle of moments is NULL",
         [&] { return lockstep_moments_read(nullptr, 0, numbers, nullptr, nullptr, nullptr); }},
        {layer_is, [&] { return lockstep_batch_norm_forward(nullptr, x, z, shape, saved); }},
        {"x is NULL", [&] { return lockstep_batch_norm_forward(layer, nullptr, z, shape, saved); }},
        {"z is NULL", [&] { return lockstep_batch_norm_forward(layer, x, nullptr, shape, saved); }},
        {"saved is NULL", [&] { return lockstep_batch_norm_forward(layer, x, z, shape, nullptr); }},
        {layer_is, [&] { return lockstep_batch_norm_backward(nullptr, x, dz, dx, shape, saved); }},
        {"x is NULL", [&] { return lockstep_batch_norm_backward(layer, nullptr, dz, dx, shape, saved); }},
        {"dz is NULL", [&] { return lockstep_batch_norm_backward(layer, x, nullptr, dx, shape, saved); }},
        {"dx is null", [&] { return lockstep_batch_norm_backward(layer, x, dz, nullptr, shape, saved); }},
        {"saved is NULL", [&] { return lockstep_batch_norm_backward(layer, x, dz, dx, shape, nullptr); }},
        {layer_is, [&] { return lockstep_batch_norm_backward_parameters(nullptr, x, dz, shape, saved); }},
        {"x is NULL",
         [&] { return lockstep_batch_norm_backward_parameters(layer, nullptr, dz, shape, saved); }},
        {"dz is NULL",
         [&] { return lockstep_batch_norm_backward_parameters(layer, x, nullptr, shape, saved); }},
        {"saved is NULL",
         [&] { return lockstep_batch_norm_backward_parameters(layer, x, dz, shape, nullptr); }},
        {layer_is, [&] { return lockstep_batch_norm_forward_slices(nullptr, &forward, 1, saved); }},
        {"slices is NULL", [&] { return lockstep_batch_norm_forward_slices(layer, nullptr, 1, saved); }},
        {"saved is NULL", [&] { return lockstep_batch_norm_forward_slices(layer, &forward, 1, nullptr); }},
        {layer_is, [&] { return lockstep_batch_norm_backward_slices(nullptr, &backward, 1, saved); }},
        {"slices is NULL", [&] { return lockstep_batch_norm_backward_slices(layer, nullptr, 1, saved); }},
        {"saved is NULL", [&] { return lockstep_batch_norm_backward_slices(layer, &backward, 1, nullptr); }},
        {layer_is, [&] { return lockstep_batch_norm_begin_forward(nullptr, x, z, shape, saved); }},
        {layer_is, [&] { return lockstep_batch_norm_end_forward(nullptr); }},
        {layer_is, [&] { return lockstep_batch_norm_begin_backward(nullptr, x, dz, dx, shape, saved); }},
        {layer_is, [&] { return lockstep_batch_norm_end_backward(nullptr); }},
        {layer_is, [&] { return lockstep_batch_norm_poll(nullptr, &done); }},
        {"done is NULL", [&] { return lockstep_batch_norm_poll(layer, nullptr); }},
        {layer_is, [&] { return lockstep_batch_norm_infer(nullptr, x, z, shape); }},
        {"x is NULL", [&] { return lockstep_batch_norm_infer(layer, nullptr, z, shape); }},
        {"z is NULL", [&] { return lockstep_batch_norm_infer(layer, x, nullptr, shape); }},
        {layer_is,
         [&] { return lockstep_batch_norm_describe(nullptr, &number, &count, &number, &number, nullptr); }},
        {layer_is, [&] { return lockstep_batch_norm_values(nullptr, LOCKSTEP_GAMMA, &values, &count); }},
        {place_is, [&] { return lockstep_batch_norm_values(layer, LOCKSTEP_GAMMA, nullptr, &count); }},
        {layer_is, [&] { return lockstep_batch_norm_bind(nullptr, z, z, z, z); }},
        {"gamma is NULL", [&] { return lockstep_batch_norm_bind(layer, nullptr, z, z, z); }},
        {"beta is NULL", [&] { return lockstep_batch_norm_bind(layer, z, nullptr, z, z); }},
        {"running_mean is NULL", [&] { return lockstep_batch_norm_bind(layer, z, z, nullptr, z); }},
        {"running_var is NULL", [&] { return lockstep_batch_norm_bind(layer, z, z, z, nullptr); }},
        {layer_is, [&] { return lockstep_batch_norm_batches_tracked(nullptr, &count, nullptr); }},
        {place_is, [&] { return lockstep_batch_norm_batches_tracked(layer, nullptr, nullptr); }},
        {layer_is, [&] { return lockstep_batch_norm_set_batches_tracked(nullptr, 1, 1); }},
        {layer_is, [&] { return lockstep_batch_norm_zero_gradients(nullptr); }},
        {layer_is, [&] { return lockstep_batch_norm_set_epsilon(nullptr, 1); }},
        {layer_is, [&] { return lockstep_batch_norm_set_momentum(nullptr, 1, 0); }},
        {layer_is, [&] { return lockstep_batch_norm_set_frozen(nullptr, 1); }},
        {layer_is, [&] { return lockstep_batch_norm_change_communicator(nullptr, comm, 0, 0); }},
        {communicator_is, [&] { return lockstep_batch_norm_change_communicator(layer, nullptr, 0, 0); }},
        {layer_is, [&] { return lockstep_batch_norm_synchronize_running_averages(nullptr, comm, 1); }},
        {communicator_is,
         [&] { return lockstep_batch_norm_synchronize_running_averages(layer, nullptr, 1); }},
        {layer_is, [&] { return lockstep_precise_statistics_create(nullptr, &precise); }},
        {place_is, [&] { return lockstep_precise_statistics_create(layer, nullptr); }},
        {"the handle of precise statistics is NULL",
         [&] { return lockstep_precise_statistics_add(nullptr); }},
        {"the handle of precise statistics is NULL",
         [&] { return lockstep_precise_statistics_finish(nullptr, 1); }},
        {"the handle of precise statistics is NULL",
         [&] { return lockstep_precise_statistics_finish_among(nullptr, comm, 1); }},
    };
    for (const NullCase& one : cases) {
        EXPECT_EQ(one.call(), LOCKSTEP_USAGE_ERROR) << one.words;
        EXPECT_TRUE(testing::contains(lockstep_message(), one.words))
            << "'" << one.words << "' is not in: " << lockstep_message();
    }
    must(lockstep_batch_norm_forward(layer, x, z, shape, saved));  // none of them has done any harm
    must(lockstep_batch_norm_backward(layer, x, dz, dx, shape, saved));
}

TEST(CNull, IsFreedWithoutEffect) {
    lockstep_session_free(nullptr);
    lockstep_communicator_free(nullptr);
    lockstep_batch_norm_free(nullptr);
    lockstep_moments_free(nullptr);
    lockstep_precise_statistics_free(nullptr);
    lockstep_thread_pool_free(nullptr);
}

}  // namespace
}  // namespace lockstep
