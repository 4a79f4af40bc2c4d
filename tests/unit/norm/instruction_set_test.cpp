// The choice of the instruction set, and that it changes no bit: the kernels run once in a process for each.
#include <lockstep/base/error.hpp>
#include <lockstep/norm/instruction_set.hpp>

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <string>

namespace lockstep {
namespace {

/// What print_kernel_bits prints under a value of LOCKSTEP_INSTRUCTION_SET.
std::string kernel_bits(std::string_view instruction_set) {
    const std::string command = "LOCKSTEP_INSTRUCTION_SET=" + std::string(instruction_set) + " '" +
                                LOCKSTEP_PRINT_KERNEL_BITS + "' 2>&1";
    FILE* const pipe = ::popen(command.c_str(), "r");
    if (pipe == nullptr) return "cannot run " + command;
    std::string text;
    std::array<char, 256> part;
    while (std::fgets(part.data(), part.size(), pipe) != nullptr) text += part.data();
    ::pclose(pipe);
    return text;
}

TEST(InstructionSet, EveryOneGivesTheSameBits) {
    const std::string expected = kernel_bits("portable");
    ASSERT_EQ(expected.substr(0, 9), "portable ") << expected;
    for (const InstructionSet set : available_instruction_sets()) {
        const std::string name(to_string(set)), bits = kernel_bits(name);
        EXPECT_EQ(bits.substr(0, name.size()), name);
        EXPECT_EQ(bits.substr(name.size()), expected.substr(8)) << name;
    }
}

TEST(InstructionSet, TheWidestIsUsedUnlessOneIsNamed) {
    const std::string widest(to_string(available_instruction_sets().back()));
    EXPECT_EQ(kernel_bits("").substr(0, widest.size()), widest);
}

TEST(InstructionSet, AnUnknownNameIsAnErrorThatSaysWhatThereIs) {
    EXPECT_THROW(instruction_set_named("sse9"), UsageError);
    const std::string said = kernel_bits("sse9");
    EXPECT_NE(said.find("'sse9' is unknown; use portable, avx2 or avx512"), std::string::npos) << said;
}

TEST(InstructionSet, AKnownNameIsAnErrorWhereTheProcessorLacksIt) {
    for (const InstructionSet set :
         {InstructionSet::portable, InstructionSet::avx2, InstructionSet::avx512}) {
        bool available = false;
        for (const InstructionSet one : available_instruction_sets()) available = available || one == set;
        if (available)
            EXPECT_EQ(instruction_set_named(to_string(set)), set);
        else
            EXPECT_THROW(instruction_set_named(to_string(set)), UsageError);
    }
}

}  // namespace
}  // namespace lockstep
