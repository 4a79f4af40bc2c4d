// Ranks of different machines whose programs know nothing of it: the trainer agrees for them.
#include <support/mpi_values.hpp>
#include <support/training.hpp>

#include <lockstep/simd/instruction_set.hpp>

#include <gtest/gtest.h>

namespace lockstep::test {
namespace {

TEST(InstructionSets, ATrainerAgreesByItself) {
    const Communicator world(MPI_COMM_WORLD);
    const Images data = noisy_columns(101);
    if (world.rank() == 0) limit_product_instruction_set(InstructionSet::portable);
    const auto together = train<float>(small_options(8, "sync"), data, world);
    EXPECT_EQ(product_instruction_set(), InstructionSet::portable);
    EXPECT_EQ(together.fingerprint,
              train<float>(small_options(8, "sync"), data, Communicator::self()).fingerprint);
}

}  // namespace
}  // namespace lockstep::test
