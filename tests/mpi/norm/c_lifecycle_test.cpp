// The C interface before MPI begins, in a session of its own, and after MPI has ended: error codes, and handles that
// can be freed. MPI begins and ends once in a process: the tests run in this order, in a program of their own.
#include "support/c_handles.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace lockstep {
namespace {

using testing::c_layer;
using testing::c_moments;
using testing::c_options;
using testing::CCommunicator;
using testing::CLayer;
using testing::CMoments;
using testing::contains;
using testing::CPreciseStatistics;
using testing::CSession;
using testing::made;
using testing::must;

constexpr double timeout = 30;
const lockstep_shape one_value{1, 1, LOCKSTEP_CHANNELS_LAST};

void expect_needs_mpi(int code, const char* call) {
    EXPECT_EQ(code, LOCKSTEP_USAGE_ERROR) << call;
    EXPECT_TRUE(contains(lockstep_message(), "MPI")) << call << ": " << lockstep_message();
}
#define EXPECT_NEEDS_MPI(call) expect_needs_mpi(call, #call)

void expect_no_communicator_can_be_made() {
    lockstep_communicator* made = nullptr;
    EXPECT_NEEDS_MPI(lockstep_communicator_create(MPI_COMM_WORLD, timeout, &made));
    EXPECT_NEEDS_MPI(lockstep_communicator_create_fortran(0, timeout, &made));
    EXPECT_NEEDS_MPI(lockstep_communicator_create_world(timeout, &made));
    EXPECT_NEEDS_MPI(lockstep_communicator_create_self(&made));
    EXPECT_EQ(made, nullptr);
}

bool is_initialized() {
    int initialized = 0;
    MPI_Initialized(&initialized);
    return initialized != 0;
}

bool is_finalized() {
    int finalized = 0;
    MPI_Finalized(&finalized);
    return finalized != 0;
}

/// What lives on until MPI has ended.
struct Survivors {
    CSession session;
    CCommunicator world;
    CLayer layer, local;
    CMoments saved;
    CPreciseStatistics precise;
    int ranks = 0;
} survivors;

const float x = 1;
float z = 0, dx = 0;

TEST(CLifecycle, BeforeMpiBeginsTheLibraryTellsItsVersionsAndItsDefaults) {
    ASSERT_FALSE(is_initialized());
    EXPECT_STREQ(lockstep_message(), "");  // nothing has failed yet
    EXPECT_STREQ(lockstep_version(), LOCKSTEP_TEST_VERSION);
    const std::string mpi = lockstep_mpi_library();
    EXPECT_TRUE(contains(mpi, "MPI")) << mpi;
    EXPECT_EQ(c_options().epsilon, 1e-5);
    EXPECT_NE(c_moments(), nullptr);
    EXPECT_FALSE(is_initialized());
}

TEST(CLifecycle, BeforeMpiBeginsNoCommunicatorCanBeMade) {
    expect_no_communicator_can_be_made();
    EXPECT_FALSE(is_initialized());
}

TEST(CLifecycle, ASessionBeginsMpiAndASecondOneLeavesItAlone) {
    survivors.session = made<CSession>(lockstep_session_create);
    ASSERT_TRUE(is_initialized());
    int provided = 0;
    MPI_Query_thread(&provided);
    EXPECT_GE(provided, MPI_THREAD_SERIALIZED);
    made<CSession>(lockstep_session_create).reset();
    EXPECT_FALSE(is_finalized());
}

TEST(CLifecycle, InASessionLayersWork) {
    survivors.world = testing::c_world(timeout);
    std::int32_t ranks = 0;
    must(lockstep_communicator_size(survivors.world.get(), &ranks));
    survivors.ranks = ranks;
    lockstep_batch_norm_options options = c_options();
    options.name = "closure";
    survivors.layer = c_layer(LOCKSTEP_FLOAT, 1, survivors.world, options);
    options.replicas = 3;  // all of them here: nobody to exchange with
    const auto self = made<CCommunicator>(lockstep_communicator_create_self);
    survivors.local = c_layer(LOCKSTEP_FLOAT, 1, self, options);
    survivors.saved = c_moments();
    survivors.precise = made<CPreciseStatistics>(
        [](auto* place) { return lockstep_precise_statistics_create(survivors.layer.get(), place); });
    must(lockstep_batch_norm_forward(survivors.layer.get(), &x, &z, one_value, survivors.saved.get()));
    double count = 0;
    must(lockstep_moments_read(survivors.saved.get(), 0, &count, nullptr, nullptr, nullptr));
    EXPECT_EQ(count, ranks);
}

TEST(CLifecycle, FreeingTheSessionThatBeganMpiEndsIt) {
    survivors.session.reset();
    EXPECT_TRUE(is_finalized());
    lockstep_session* session = nullptr;
    EXPECT_NEEDS_MPI(lockstep_session_create(&session));
    EXPECT_EQ(session, nullptr);
}

TEST(CLifecycle, AfterMpiHasEndedNoCommunicatorCanBeMade) {
    expect_no_communicator_can_be_made();
    lockstep_communicator* part = nullptr;
    EXPECT_NEEDS_MPI(lockstep_communicator_split(survivors.world.get(), 0, 0, &part));
    EXPECT_EQ(part, nullptr);
    EXPECT_NEEDS_MPI(lockstep_communicator_check_agreement(survivors.world.get(), "a", "b", "c"));
    EXPECT_NEEDS_MPI(lockstep_communicator_announce_failure(survivors.world.get(), "too late"));
    EXPECT_NEEDS_MPI(lockstep_batch_norm_announce_failure(survivors.layer.get(), "too late"));
}

TEST(CLifecycle, AfterMpiHasEndedCallsThatCommunicateAreUsageErrors) {
    if (survivors.ranks == 1) return;  // nothing is communicated
    lockstep_batch_norm* const layer = survivors.layer.get();
    lockstep_moments* const saved = survivors.saved.get();
    const lockstep_communicator* const world = survivors.world.get();
    const lockstep_forward_slice forward{&x, &z, one_value};
    const lockstep_backward_slice backward{&x, &x, &dx, one_value, nullptr, nullptr};
    lockstep_batch_norm* made = nullptr;
    EXPECT_NEEDS_MPI(lockstep_batch_norm_create(LOCKSTEP_FLOAT, 1, world, nullptr, &made));
    EXPECT_NEEDS_MPI(lockstep_batch_norm_backward(layer, &x, &x, &dx, one_value, saved));
    EXPECT_NEEDS_MPI(lockstep_batch_norm_begin_backward(layer, &x, &x, &dx, one_value, saved));
    EXPECT_NEEDS_MPI(lockstep_batch_norm_backward_slices(layer, &backward, 1, saved));
    EXPECT_NEEDS_MPI(lockstep_batch_norm_forward(layer, &x, &z, one_value, saved));
    EXPECT_NEEDS_MPI(lockstep_batch_norm_begin_forward(layer, &x, &z, one_value, saved));
    EXPECT_NEEDS_MPI(lockstep_batch_norm_forward_slices(layer, &forward, 1, saved));
    EXPECT_NEEDS_MPI(lockstep_batch_norm_set_epsilon(layer, 1));
    EXPECT_NEEDS_MPI(lockstep_batch_norm_set_momentum(layer, 1, 0));
    EXPECT_NEEDS_MPI(lockstep_batch_norm_set_frozen(layer, 1));
    EXPECT_NEEDS_MPI(lockstep_batch_norm_change_communicator(layer, world, 0, 0));
    EXPECT_NEEDS_MPI(lockstep_batch_norm_synchronize_running_averages(layer, world, 1));
    EXPECT_NEEDS_MPI(lockstep_precise_statistics_finish_among(survivors.precise.get(), world, 0));
}

TEST(CLifecycle, AfterMpiHasEndedAGroupWithinOneRankStillTrains) {
    const float values[] = {1, 2, 6};
    float results[3], gradients[3];
    std::vector<lockstep_forward_slice> forward;
    std::vector<lockstep_backward_slice> backward;
    for (int i = 0; i < 3; ++i) {
        forward.push_back({&values[i], &results[i], one_value});
        backward.push_back({&values[i], &values[i], &gradients[i], one_value, nullptr, nullptr});
    }
    const CMoments saved = c_moments();
    must(lockstep_batch_norm_forward_slices(survivors.local.get(), forward.data(), 3, saved.get()));
    must(lockstep_batch_norm_backward_slices(survivors.local.get(), backward.data(), 3, saved.get()));
    double count = 0;
    const double* mean = nullptr;
    must(lockstep_moments_read(saved.get(), 0, &count, &mean, nullptr, nullptr));
    EXPECT_EQ(count, 3);
    EXPECT_EQ(*mean, 3);
}

TEST(CLifecycle, AfterMpiHasEndedALayerStillInfersAndTellsItsState) {
    must(lockstep_batch_norm_infer(survivors.layer.get(), &x, &z, one_value));
    EXPECT_EQ(testing::c_values<float>(survivors.layer, LOCKSTEP_RUNNING_MEAN)[0], 0.1F);
    std::int32_t rank = -1;
    must(lockstep_communicator_rank(survivors.world.get(), &rank));
    EXPECT_GE(rank, 0);
}

TEST(CLifecycle, AfterMpiHasEndedEveryHandleCanBeFreed) {
    survivors = {};
}

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
