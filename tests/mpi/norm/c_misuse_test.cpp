// The C interface: what its callers do wrong is an error code with a message, never the end of the job.
#include <lockstep/lockstep.h>

#include "support/mpi_values.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace lockstep {
namespace {

using testing::contains;
using testing::world_rank;
using testing::world_size;

class CInterface : public ::testing::Test {
  protected:
    void SetUp() override {
        ASSERT_EQ(lockstep_communicator_create(MPI_COMM_WORLD, 30, &communicator_), LOCKSTEP_OK);
        lockstep_batch_norm_options options;
        lockstep_batch_norm_default_options(&options, sizeof options);
        options.name = "closure";
        ASSERT_EQ(lockstep_batch_norm_create(LOCKSTEP_DOUBLE, 2, communicator_, &options, &layer_),
                  LOCKSTEP_OK);
        ASSERT_EQ(lockstep_moments_create(&saved_), LOCKSTEP_OK);
    }
    void TearDown() override {
        lockstep_moments_free(saved_);
        lockstep_batch_norm_free(layer_);
        lockstep_communicator_free(communicator_);
    }

    lockstep_communicator* communicator_ = nullptr;
    lockstep_batch_norm* layer_ = nullptr;
    lockstep_moments* saved_ = nullptr;
    std::vector<double> x_{1, 2, 3, 4, 5, 6, 7, 8}, z_ = std::vector<double>(8), dx_ = std::vector<double>(8);
};

TEST_F(CInterface, FortranHandlesThatNoCommunicatorHasAreAnErrorCode) {
    lockstep_communicator* made = nullptr;
    for (const MPI_Fint handle :
         {12345, -7, std::numeric_limits<MPI_Fint>::max(), MPI_Comm_c2f(MPI_COMM_NULL)}) {
        EXPECT_EQ(lockstep_communicator_create_fortran(handle, 30, &made), LOCKSTEP_USAGE_ERROR) << handle;
        EXPECT_TRUE(contains(lockstep_message(), "Communicator")) << lockstep_message();
        EXPECT_EQ(made, nullptr);
    }
    // The caller's error handlers are as they were.
    MPI_Errhandler handler = MPI_ERRHANDLER_NULL;
    MPI_Comm_get_errhandler(MPI_COMM_WORLD, &handler);
    EXPECT_EQ(handler, MPI_ERRORS_ARE_FATAL);
    MPI_Errhandler_free(&handler);
    ASSERT_EQ(lockstep_communicator_create_fortran(MPI_Comm_c2f(MPI_COMM_WORLD), 30, &made), LOCKSTEP_OK);
    lockstep_communicator_free(made);
}

TEST_F(CInterface, ShapesThatNoMemoryHoldsAreAnErrorCode) {
    for (const lockstep_shape shape : {lockstep_shape{std::int64_t{1} << 62, 4, LOCKSTEP_CHANNELS_LAST},
                                       lockstep_shape{std::int64_t{1} << 32, std::int64_t{1} << 32, 0}}) {
        EXPECT_EQ(lockstep_batch_norm_forward(layer_, x_.data(), z_.data(), shape, saved_),
                  LOCKSTEP_USAGE_ERROR);
        EXPECT_TRUE(contains(lockstep_message(), "closure")) << lockstep_message();
        EXPECT_EQ(lockstep_batch_norm_infer(layer_, x_.data(), z_.data(), shape), LOCKSTEP_USAGE_ERROR);
        EXPECT_EQ(lockstep_batch_norm_infer(layer_, nullptr, nullptr, shape), LOCKSTEP_USAGE_ERROR);
        EXPECT_EQ(lockstep_batch_norm_backward(layer_, x_.data(), z_.data(), dx_.data(), shape, saved_),
                  LOCKSTEP_USAGE_ERROR);
    }
}

TEST_F(CInterface, BackwardOfAnotherShapeIsAnErrorCodeThatSaysBothShapes) {
    const lockstep_shape shape{2, 2, LOCKSTEP_CHANNELS_LAST};
    ASSERT_EQ(lockstep_batch_norm_forward(layer_, x_.data(), z_.data(), shape, saved_), LOCKSTEP_OK);
    for (const lockstep_shape wrong :
         {lockstep_shape{1, 2, LOCKSTEP_CHANNELS_LAST}, lockstep_shape{2, 2, LOCKSTEP_CHANNELS_FIRST}}) {
        EXPECT_EQ(lockstep_batch_norm_backward(layer_, x_.data(), z_.data(), dx_.data(), wrong, saved_),
                  LOCKSTEP_USAGE_ERROR);
        EXPECT_TRUE(contains(lockstep_message(), "batch 2, spatial 2, channels last")) << lockstep_message();
    }
    EXPECT_EQ(lockstep_batch_norm_backward(layer_, x_.data(), z_.data(), dx_.data(), shape, saved_),
              LOCKSTEP_OK);
    EXPECT_EQ(lockstep_batch_norm_set_batches_tracked(layer_, -1, -1), LOCKSTEP_USAGE_ERROR);
}

TEST_F(CInterface, RanksThatDisagreeGetAnErrorCodeThatNamesTheOption) {
    if (world_size() == 1) return;
    lockstep_batch_norm_options options;
    lockstep_batch_norm_default_options(&options, sizeof options);
    if (world_rank() == 1) options.momentum = 0.9;
    lockstep_batch_norm* made = nullptr;
    EXPECT_EQ(lockstep_batch_norm_create(LOCKSTEP_FLOAT, 2, communicator_, &options, &made),
              LOCKSTEP_COMMUNICATION_ERROR);
    EXPECT_TRUE(contains(lockstep_message(), "momentum: 0.1 on rank 0")) << lockstep_message();
    EXPECT_TRUE(contains(lockstep_message(), "0.9 on rank 1")) << lockstep_message();
    EXPECT_EQ(made, nullptr);
}

}  // namespace
}  // namespace lockstep
