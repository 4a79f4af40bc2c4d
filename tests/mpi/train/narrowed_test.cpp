// The instruction set may be narrowed while networks are in use. What has the same bits on every set keeps them, and a
// convolution, whose spaces are as wide as the vectors that it was built for, goes on with those.
#include <lockstep/simd/instruction_set.hpp>
#include <support/training.hpp>

#include <gtest/gtest.h>

namespace lockstep::test {
namespace {

/// Without a linear layer, whose bits differ from set to set.
TrainerOptions convolutions_only() {
    TrainerOptions options = small_options(4, "sync", 1);
    options.model =
        "conv 17 3x3 pad 1, batchnorm, relu, maxpool 2, conv 5 3x3 pad 1, relu, global-average-pool";
    return options;
}

/// Of an epoch's training; `between` is called after construction.
template <class Between>
std::uint64_t trained(const Dataset& data, Between between) {
    Trainer<float> trainer(convolutions_only(), data, Communicator(MPI_COMM_WORLD));
    between();
    trainer.run_epoch({});
    return fingerprint(trainer.network());
}

// One test for all steps, because no later one in this process could widen the set again.
TEST(NarrowedInstructionSet, LeavesTheBitsOfConvolutionalNetworksAlone) {
    const Images data = noisy_columns(53, 5, 8);
    const std::uint64_t widest = trained(data, [] {});
    EXPECT_EQ(trained(data, [] { limit_instruction_set(InstructionSet::avx2); }), widest);
    EXPECT_LE(active_instruction_set(), InstructionSet::avx2);
    EXPECT_EQ(trained(data, [] {}), widest) << "built for AVX2";
    EXPECT_EQ(trained(data, [] { limit_instruction_set(InstructionSet::portable); }), widest);
    EXPECT_EQ(active_instruction_set(), InstructionSet::portable);
    EXPECT_EQ(product_instruction_set(), InstructionSet::portable);
    trained(data, [] {});  // and portable ones fit their spaces, too: the sanitizers look
}

}  // namespace
}  // namespace lockstep::test
