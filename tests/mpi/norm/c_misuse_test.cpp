// The C interface: what its callers do wrong is an error code with a message, never the end of the job.
#include "support/c_handles.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace lockstep {
namespace {

using testing::c_layer;
using testing::c_moments;
using testing::c_options;
using testing::c_self;
using testing::c_world;
using testing::CLayer;
using testing::CMoments;
using testing::contains;
using testing::CPreciseStatistics;
using testing::made;
using testing::must;
using testing::world_rank;
using testing::world_size;

void expect_error(int actual, int code, const std::string& words) {
    EXPECT_EQ(actual, code) << words;
    EXPECT_TRUE(contains(lockstep_message(), words)) << "'" << words << "' is not in: " << lockstep_message();
}

void expect_usage_error(int actual, const std::string& words) {
    expect_error(actual, LOCKSTEP_USAGE_ERROR, words);
}

class CMisuse : public ::testing::Test {
  protected:
    CMisuse() {
        lockstep_batch_norm_options options = c_options();
        options.name = "closure";
        layer_ = c_layer(LOCKSTEP_DOUBLE, 2, world_, options);
    }

    lockstep_batch_norm* layer() { return layer_.get(); }
    int forward(lockstep_shape shape) {
        return lockstep_batch_norm_forward(layer(), x_.data(), z_.data(), shape, saved_.get());
    }
    int backward(lockstep_shape shape, const CMoments& saved) {
        return lockstep_batch_norm_backward(layer(), x_.data(), z_.data(), dx_.data(), shape, saved.get());
    }

    const lockstep_shape shape_{2, 2, LOCKSTEP_CHANNELS_LAST};
    testing::CCommunicator world_ = c_world();
    CLayer layer_;
    CMoments saved_ = c_moments();
    std::vector<double> x_{1, 2, 3, 4, 5, 6, 7, 8}, z_ = std::vector<double>(8), dx_ = std::vector<double>(8);
};

TEST_F(CMisuse, FortranHandlesThatNoCommunicatorHasAreAnErrorCode) {
    lockstep_communicator* made = nullptr;
    for (const MPI_Fint handle :
         {12345, -7, std::numeric_limits<MPI_Fint>::max(), MPI_Comm_c2f(MPI_COMM_NULL)}) {
        made = reinterpret_cast<lockstep_communicator*>(this);
        expect_usage_error(lockstep_communicator_create_fortran(handle, 30, &made), "Communicator");
        EXPECT_EQ(made, nullptr);
    }
    // The caller's error handlers are as they were.
    MPI_Errhandler handler = MPI_ERRHANDLER_NULL;
    MPI_Comm_get_errhandler(MPI_COMM_WORLD, &handler);
    EXPECT_EQ(handler, MPI_ERRORS_ARE_FATAL);
    MPI_Errhandler_free(&handler);
}

TEST_F(CMisuse, OfCommunicatorsIsAnErrorCode) {
    lockstep_communicator* made = nullptr;
    expect_usage_error(lockstep_communicator_create(MPI_COMM_NULL, 30, &made), "MPI_COMM_NULL");
    expect_usage_error(lockstep_communicator_create_world(0, &made), "time-out");
    expect_usage_error(lockstep_communicator_split(world_.get(), -1, 0, &made), "the color is negative: -1");
    EXPECT_EQ(made, nullptr);
    if (world_size() == 1) return;
    // One rank alone that asks for nonsense does not leave the others waiting, and all may try again.
    const bool mine = world_rank() == 1;
    expect_error(lockstep_communicator_split(world_.get(), mine ? -1 : 0, 0, &made),
                 mine ? LOCKSTEP_USAGE_ERROR : LOCKSTEP_COMMUNICATION_ERROR, "the color is negative: -1");
    must(lockstep_communicator_split(world_.get(), 0, 0, &made));
    lockstep_communicator_free(made);
}

TEST_F(CMisuse, ShapesThatNoMemoryHoldsAreAnErrorCode) {
    for (const lockstep_shape shape : {lockstep_shape{std::int64_t{1} << 62, 4, LOCKSTEP_CHANNELS_LAST},
                                       lockstep_shape{std::int64_t{1} << 32, std::int64_t{1} << 32, 0}}) {
        expect_usage_error(forward(shape), "closure");
        expect_usage_error(lockstep_batch_norm_infer(layer(), x_.data(), z_.data(), shape), "closure");
        expect_usage_error(lockstep_batch_norm_infer(layer(), nullptr, nullptr, shape), "x is NULL");
        expect_usage_error(backward(shape, saved_), "closure");
    }
    for (const lockstep_shape shape : {lockstep_shape{-1, 1, 0}, lockstep_shape{1, -1, 0}})
        expect_usage_error(forward(shape), "negative");
    expect_usage_error(forward({1, 1, 2}), "unknown channel order: 2");
}

TEST_F(CMisuse, BackwardOfAnotherForwardIsAnErrorCode) {
    const CMoments others = c_moments();
    expect_usage_error(backward(shape_, others), "not from a forward of any layer");
    must(forward(shape_));
    for (const lockstep_shape wrong :
         {lockstep_shape{1, 2, LOCKSTEP_CHANNELS_LAST}, lockstep_shape{2, 2, LOCKSTEP_CHANNELS_FIRST}})
        expect_usage_error(backward(wrong, saved_), "batch 2, spatial 2, channels last");
    must(backward(shape_, saved_));
    must(lockstep_batch_norm_change_communicator(layer(), world_.get(), 0, 0));
    expect_usage_error(backward(shape_, saved_), "not from a forward of this layer");
}

TEST_F(CMisuse, HalvesWithoutTheOtherHalfAreAnErrorCode) {
    expect_usage_error(lockstep_batch_norm_end_forward(layer()), "end_forward without begin_forward");
    expect_usage_error(lockstep_batch_norm_end_backward(layer()), "end_backward without begin_backward");
    const CMoments others = c_moments();
    must(lockstep_batch_norm_begin_forward(layer(), x_.data(), z_.data(), shape_, saved_.get()));
    expect_usage_error(forward(shape_), "a forward is under way");
    expect_usage_error(lockstep_batch_norm_begin_forward(layer(), x_.data(), z_.data(), shape_, others.get()),
                       "a forward is under way");
    expect_usage_error(lockstep_batch_norm_set_epsilon(layer(), 1), "a forward is under way");
    expect_usage_error(lockstep_batch_norm_set_momentum(layer(), 1, 0), "a forward is under way");
    expect_usage_error(lockstep_batch_norm_set_frozen(layer(), 1), "a forward is under way");
    expect_usage_error(lockstep_batch_norm_change_communicator(layer(), world_.get(), 0, 0),
                       "a forward is under way");
    expect_usage_error(lockstep_batch_norm_set_executor(layer(), nullptr), "a forward is under way");
    const auto read = [](const CMoments& moments) {
        return lockstep_moments_read(moments.get(), 0, nullptr, nullptr, nullptr, nullptr);
    };
    expect_usage_error(read(saved_), "not ended");
    must(lockstep_batch_norm_end_forward(layer()));
    must(read(saved_));
    expect_usage_error(read(others), "of no forward");
}

TEST_F(CMisuse, OfMomentsIsAnErrorCode) {
    must(forward(shape_));
    for (const int group : {-1, 1})
        expect_usage_error(lockstep_moments_read(saved_.get(), group, nullptr, nullptr, nullptr, nullptr),
                           "no statistics group " + std::to_string(group));
}

TEST_F(CMisuse, OfSlicesIsAnErrorCode) {
    std::vector<lockstep_forward_slice> forward(2, {x_.data(), z_.data(), shape_});
    std::vector<lockstep_backward_slice> backward(
        2, {x_.data(), x_.data(), dx_.data(), shape_, nullptr, nullptr});
    const auto run_forward = [&](std::int64_t count) {
        return lockstep_batch_norm_forward_slices(layer(), forward.data(), count, saved_.get());
    };
    const auto run_backward = [&](std::int64_t count) {
        return lockstep_batch_norm_backward_slices(layer(), backward.data(), count, saved_.get());
    };
    for (const std::int64_t count : {0, 2}) {
        expect_usage_error(run_forward(count), "one slice for each of the rank's 1 replicas");
        expect_usage_error(run_backward(count), "one slice for each of the rank's 1 replicas");
    }
    expect_usage_error(run_forward(-1), "the number of slices is negative");
    expect_usage_error(run_backward(-1), "the number of slices is negative");
    must(run_forward(1));
    backward[0].beta_gradient = dx_.data();
    expect_usage_error(run_backward(1), "gamma_gradient and beta_gradient");
    backward[0] = {nullptr, x_.data(), dx_.data(), shape_, nullptr, nullptr};
    expect_usage_error(run_backward(1), "x of a slice is NULL");
    backward[0] = {x_.data(), nullptr, dx_.data(), shape_, nullptr, nullptr};
    expect_usage_error(run_backward(1), "dz of a slice is NULL");
    forward[0].z = nullptr;
    expect_usage_error(run_forward(1), "z of a slice is NULL");
    forward[0].x = nullptr;
    expect_usage_error(run_forward(1), "x of a slice is NULL");
    forward[0].shape.batch = -1;
    expect_usage_error(run_forward(1), "negative");
}

TEST_F(CMisuse, OfArraysAndCountsIsAnErrorCode) {
    void* values = nullptr;
    for (const int which : {-1, 6})
        expect_usage_error(lockstep_batch_norm_values(layer(), which, &values, nullptr),
                           "no such values: " + std::to_string(which));
    expect_usage_error(lockstep_batch_norm_set_batches_tracked(layer(), -1, -1), "cannot have tracked -1");
    expect_usage_error(lockstep_batch_norm_set_batches_tracked(layer(), 1, 2), "2 of them with a variance");
    expect_usage_error(lockstep_batch_norm_synchronize_running_averages(layer(), world_.get(), -1), "weight");
}

TEST_F(CMisuse, OfSettingsIsAnErrorCodeAndChangesNothing) {
    const double infinite = std::numeric_limits<double>::infinity();
    for (const double epsilon : {0.0, -1.0, infinite})
        expect_usage_error(lockstep_batch_norm_set_epsilon(layer(), epsilon),
                           "epsilon must be a positive number");
    for (const double momentum : {-0.1, 1.1, infinite})
        expect_usage_error(lockstep_batch_norm_set_momentum(layer(), momentum, 0),
                           "momentum must lie between 0 and 1");
    expect_usage_error(lockstep_batch_norm_change_communicator(layer(), world_.get(), -1, 0), "-1 replicas");
    expect_usage_error(lockstep_batch_norm_change_communicator(layer(), world_.get(), 0, -1), "groups of -1");
    must(forward(shape_));
    const CLayer fresh = c_layer(LOCKSTEP_DOUBLE, 2, world_, c_options());
    std::vector<double> z(8);
    must(lockstep_batch_norm_forward(fresh.get(), x_.data(), z.data(), shape_, saved_.get()));
    EXPECT_EQ(z_, z);
    EXPECT_EQ(testing::c_values<double>(layer_, LOCKSTEP_RUNNING_VAR)[0],
              testing::c_values<double>(fresh, LOCKSTEP_RUNNING_VAR)[0]);
}

TEST_F(CMisuse, OfPreciseStatisticsIsAnErrorCode) {
    const auto precise = made<CPreciseStatistics>(
        [&](auto* place) { return lockstep_precise_statistics_create(layer(), place); });
    expect_usage_error(lockstep_precise_statistics_add(precise.get()), "no forward");
    expect_usage_error(lockstep_precise_statistics_finish(precise.get(), 1), "at least 1");
    expect_usage_error(lockstep_precise_statistics_finish_among(precise.get(), world_.get(), 1),
                       "at least 1");
    must(lockstep_batch_norm_change_communicator(layer(), c_self().get(), 2, 1));
    auto* refused = reinterpret_cast<lockstep_precise_statistics*>(this);
    expect_usage_error(lockstep_precise_statistics_create(layer(), &refused), "2 statistics groups");
    EXPECT_EQ(refused, nullptr);
}

TEST_F(CMisuse, OnOneRankAloneNamesWhatDiffers) {
    if (world_size() == 1) return;
    const bool mine = world_rank() == 1;
    lockstep_batch_norm* made = nullptr;
    const auto expect_disagreement = [&](int type, std::int64_t channels,
                                         const lockstep_batch_norm_options& options,
                                         const std::string& words) {
        made = reinterpret_cast<lockstep_batch_norm*>(this);
        expect_error(lockstep_batch_norm_create(type, channels, world_.get(), &options, &made),
                     LOCKSTEP_COMMUNICATION_ERROR, words);
        EXPECT_EQ(made, nullptr);
    };
    const lockstep_batch_norm_options same = c_options();
    const testing::Watch watch;
    expect_disagreement(mine ? LOCKSTEP_DOUBLE : LOCKSTEP_FLOAT, 2, same, "type: float on rank 0");
    expect_disagreement(mine ? 7 : LOCKSTEP_FLOAT, 2, same, "failed on rank 1: a layer's type is");
    expect_disagreement(LOCKSTEP_FLOAT, mine ? 3 : 2, same, "channels: 2 on rank 0");
    expect_disagreement(LOCKSTEP_FLOAT, mine ? -1 : 2, same,
                        "failed on rank 1: batch norm: needs at least one channel");
    lockstep_batch_norm_options others = same;
    if (mine) others.momentum = 0.9;
    expect_disagreement(LOCKSTEP_FLOAT, 2, others, "momentum: 0.1 on rank 0");
    others = same;
    if (mine) others.activation = LOCKSTEP_ACTIVATION_RELU;
    expect_disagreement(LOCKSTEP_FLOAT, 2, others, "activation: none on rank 0");
    if (mine) others.activation = 9;
    expect_disagreement(LOCKSTEP_FLOAT, 2, others,
                        "failed on rank 1: options of batch norm: unknown activation 9");
    others = same;
    if (mine) others.replicas = 2 * world_size();
    expect_disagreement(LOCKSTEP_FLOAT, 2, others,
                        "replicas: " + std::to_string(world_size()) + " on rank 0");
    others = same;
    if (mine) others.group = 1;
    expect_disagreement(LOCKSTEP_FLOAT, 2, others, "group: " + std::to_string(world_size()) + " on rank 0");
    others = same;
    if (mine) others.size = 0;
    expect_disagreement(LOCKSTEP_FLOAT, 2, others, "failed on rank 1: options of batch norm: 0 is no size");
    EXPECT_LE(watch.seconds(), testing::promptly());

    expect_error(lockstep_batch_norm_set_epsilon(layer(), mine ? 0.5 : 0.25), LOCKSTEP_COMMUNICATION_ERROR,
                 "epsilon: 0.25 on rank 0");
    expect_error(lockstep_batch_norm_set_epsilon(layer(), mine ? -1 : 0.25), LOCKSTEP_COMMUNICATION_ERROR,
                 "failed on rank 1: batch norm 'closure': epsilon must be a positive number");
    expect_error(lockstep_batch_norm_set_momentum(layer(), 0.25, mine ? 1 : 0), LOCKSTEP_COMMUNICATION_ERROR,
                 "momentum: 0.25 on rank 0");
    expect_error(lockstep_batch_norm_set_frozen(layer(), mine ? 1 : 0), LOCKSTEP_COMMUNICATION_ERROR,
                 "frozen: no on rank 0");
    must(forward(shape_));  // the layer and its communicator are as they were
}

}  // namespace
}  // namespace lockstep
