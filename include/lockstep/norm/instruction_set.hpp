/// Which vector instructions the kernels of batch normalization use: chosen at run time, so that one binary
/// serves every machine of a mixed cluster. All of them give the same bits.
#pragma once

#include <lockstep/base/export.hpp>

#include <optional>
#include <string_view>
#include <vector>

namespace lockstep {

enum class InstructionSet {
    portable,  ///< what the compiler's baseline has
    avx2,
    avx512,
};

LOCKSTEP_EXPORT std::string_view to_string(InstructionSet set);

/// Those that this build knows and this processor has, from the narrowest to the widest.
LOCKSTEP_EXPORT const std::vector<InstructionSet>& available_instruction_sets();

/// The instruction set of that name. Throws UsageError where the name is unknown or the processor lacks it.
LOCKSTEP_EXPORT InstructionSet instruction_set_named(std::string_view name);

/// What the environment variable LOCKSTEP_INSTRUCTION_SET names (portable, avx2 or avx512), if it is set.
/// Throws UsageError as instruction_set_named does.
LOCKSTEP_EXPORT std::optional<InstructionSet> forced_instruction_set();

/// What the kernels use in this process: what is forced, else the widest. Throws UsageError as
/// instruction_set_named does.
LOCKSTEP_EXPORT InstructionSet active_instruction_set();

}  // namespace lockstep
