/// Which vector instructions this process uses: chosen at run time, so that one binary serves every machine
/// of a mixed cluster.
///
/// There are two choices. The kernels of batch normalization and everything else that works elementwise give
/// the same bits on every set and take the widest. Matrix products and convolutions, whose bits differ from
/// set to set, take the one that is fastest on this processor. Both can be narrowed while the program runs,
/// and never widened again.
#pragma once

#include <lockstep/base/export.hpp>

#include <optional>
#include <string_view>
#include <vector>

namespace lockstep {

/// From the narrowest to the widest. A processor that has one has those before it.
enum class InstructionSet {
    portable,  ///< what the compiler's baseline has
    avx2,
    avx512,
};

LOCKSTEP_EXPORT std::string_view to_string(InstructionSet set);

/// Those that this build was compiled for, from the narrowest to the widest.
LOCKSTEP_EXPORT const std::vector<InstructionSet>& compiled_instruction_sets();

/// Those of them that this processor has.
LOCKSTEP_EXPORT const std::vector<InstructionSet>& available_instruction_sets();

/// The instruction set of that name. Throws UsageError if the name is unknown or the processor lacks it.
LOCKSTEP_EXPORT InstructionSet instruction_set_named(std::string_view name);

/// What the environment variable LOCKSTEP_INSTRUCTION_SET names (portable, avx2 or avx512), if it is set.
/// Throws UsageError as instruction_set_named does.
LOCKSTEP_EXPORT std::optional<InstructionSet> forced_instruction_set();

/// What the kernels use in this process: what is forced, else the widest, unless it was limited since. Throws
/// UsageError as instruction_set_named does.
LOCKSTEP_EXPORT InstructionSet active_instruction_set();

/// What matrix products and convolutions use in this process: what is forced, else the fastest that is not
/// wider than active_instruction_set(), unless it was limited since. Throws UsageError as
/// instruction_set_named does.
LOCKSTEP_EXPORT InstructionSet product_instruction_set();

/// From now on nothing in this process uses a wider set than `widest`: neither kernels nor products. It only
/// narrows: what is narrower already stays as it is. From any thread; calls that have begun finish as they
/// began, and a convolution layer keeps the set that it was built with. Throws UsageError as
/// instruction_set_named does.
LOCKSTEP_EXPORT void limit_instruction_set(InstructionSet widest);

/// The same for products alone.
LOCKSTEP_EXPORT void limit_product_instruction_set(InstructionSet widest);

}  // namespace lockstep
