// A cluster of different machines: the ranks compute the bits of the narrowest of them, as if all were so.
#include <support/mpi_values.hpp>
#include <support/training.hpp>

#include <lockstep/base/error.hpp>
#include <lockstep/comm/instruction_set_agreement.hpp>

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

namespace lockstep::test {
namespace {

// One test, since the choice can only be narrowed in the life of a process.
TEST(InstructionSets, RanksOfDifferentMachinesComputeTheBitsOfTheNarrowest) {
    const Communicator world(MPI_COMM_WORLD);
    const Images data = noisy_columns(101);
    const int last = world.size() - 1;
    TrainerOptions options = small_options(8, "group:4");
    options.model = "conv 8 3x3 pad 1, batchnorm, relu, flatten, linear 40, batchnorm, linear 5";
    const InstructionSet before = product_instruction_set();
    if (world.rank() == last) limit_product_instruction_set(InstructionSet::portable);

    const InstructionSetAgreement agreed = agree_on_instruction_set(world);
    EXPECT_EQ(agreed.products, InstructionSet::portable);
    EXPECT_EQ(agreed.narrowed(), before != InstructionSet::portable && world.size() > 1);
    if (agreed.narrowed()) {
        EXPECT_EQ(agreed.narrowest_rank, last);
    }
    EXPECT_EQ(product_instruction_set(), InstructionSet::portable);

    const auto together = train<float>(options, data, world);
    const auto alone = train<float>(options, data, Communicator::self());
    EXPECT_EQ(together.losses, alone.losses);
    EXPECT_EQ(together.fingerprint, alone.fingerprint);
    EXPECT_FALSE(agree_on_instruction_set(world).narrowed()) << "nothing is left to agree on";
}

}  // namespace
}  // namespace lockstep::test
