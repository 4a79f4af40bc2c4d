// The choice of the instruction set, and that it changes no bit: the kernels run once in a process for each.
#include <lockstep/base/error.hpp>
#include <lockstep/simd/instruction_set.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <sstream>
#include <string>

namespace lockstep {
namespace {

/// What print_kernel_bits prints under a value of LOCKSTEP_INSTRUCTION_SET.
std::string printed(std::string_view instruction_set, const std::string& arguments = "") {
    const std::string command = "LOCKSTEP_INSTRUCTION_SET=" + std::string(instruction_set) + " '" +
                                LOCKSTEP_PRINT_KERNEL_BITS + "' " + arguments + " 2>&1";
    FILE* const pipe = ::popen(command.c_str(), "r");
    if (pipe == nullptr) return "cannot run " + command;
    std::string text;
    std::array<char, 256> part;
    while (std::fgets(part.data(), part.size(), pipe) != nullptr) text += part.data();
    ::pclose(pipe);
    return text;
}

struct Used {
    std::string kernels, products, bits;
};

Used used(std::string_view instruction_set, const std::string& arguments = "") {
    Used result;
    std::istringstream(printed(instruction_set, arguments)) >> result.kernels >> result.products >>
        result.bits;
    return result;
}

TEST(InstructionSet, EveryOneGivesTheSameBits) {
    const Used expected = used("portable");
    ASSERT_EQ(expected.kernels, "portable");
    ASSERT_EQ(expected.bits.size(), 16u);
    for (const InstructionSet set : available_instruction_sets()) {
        const Used forced = used(to_string(set)), limited = used("", "limit " + std::string(to_string(set)));
        EXPECT_EQ(forced.kernels, to_string(set));
        EXPECT_EQ(forced.products, to_string(set));
        EXPECT_EQ(forced.bits, expected.bits) << to_string(set);
        EXPECT_EQ(limited.kernels, to_string(set));
        EXPECT_EQ(limited.bits, expected.bits) << to_string(set);
    }
}

TEST(InstructionSet, TheWidestIsUsedUnlessOneIsNamed) {
    EXPECT_EQ(used("").kernels, to_string(available_instruction_sets().back()));
}

TEST(InstructionSet, IsNeverWiderForProductsThanForKernels) {
    for (const InstructionSet set : available_instruction_sets()) {
        const Used limited = used("", "limit " + std::string(to_string(set)));
        EXPECT_LE(instruction_set_named(limited.products), set);
    }
}

TEST(InstructionSet, ALimitOnlyNarrows) {
    const std::string widest(to_string(available_instruction_sets().back()));
    const Used limited = used("", "limit portable limit " + widest);
    EXPECT_EQ(limited.kernels, "portable");
    EXPECT_EQ(limited.products, "portable");
}

TEST(InstructionSet, ALimitOfProductsLeavesTheKernelsAlone) {
    const Used limited = used("", "limit-products portable");
    EXPECT_EQ(limited.kernels, to_string(available_instruction_sets().back()));
    EXPECT_EQ(limited.products, "portable");
}

TEST(InstructionSet, WhatIsAvailableWasCompiled) {
    const auto& compiled = compiled_instruction_sets();
    EXPECT_EQ(compiled.front(), InstructionSet::portable);
    for (const InstructionSet set : available_instruction_sets())
        EXPECT_NE(std::ranges::find(compiled, set), compiled.end()) << to_string(set);
}

TEST(InstructionSet, AnUnknownNameIsAnErrorThatSaysWhatThereIs) {
    EXPECT_THROW(instruction_set_named("sse9"), UsageError);
    const std::string said = printed("sse9");
    EXPECT_NE(said.find("'sse9' is unknown; use portable, avx2 or avx512"), std::string::npos) << said;
}

TEST(InstructionSet, AKnownNameIsAnErrorIfTheProcessorLacksIt) {
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
