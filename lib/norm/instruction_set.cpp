#include <lockstep/base/error.hpp>
#include <lockstep/norm/instruction_set.hpp>

#include <algorithm>
#include <cstdlib>
#include <string>

namespace lockstep {
namespace {

constexpr InstructionSet all_sets[] = {InstructionSet::portable, InstructionSet::avx2,
                                       InstructionSet::avx512};

bool processor_has(InstructionSet set) {
    if (set == InstructionSet::portable) return true;
#ifdef LOCKSTEP_X86_INSTRUCTION_SETS
    // All that the compiler may use under -march=x86-64-v3 and -v4, not only what the kernels ask for.
    const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
    if (set == InstructionSet::avx2) return v3;
    return v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
#else
    return false;
#endif
}

}  // namespace

std::string_view to_string(InstructionSet set) {
    switch (set) {
        case InstructionSet::avx512:
            return "avx512";
        case InstructionSet::avx2:
            return "avx2";
        case InstructionSet::portable:
            break;
    }
    return "portable";
}

const std::vector<InstructionSet>& available_instruction_sets() {
    static const std::vector<InstructionSet> available = [] {
        std::vector<InstructionSet> found;
        std::ranges::copy_if(all_sets, std::back_inserter(found), processor_has);
        return found;
    }();
    return available;
}

InstructionSet instruction_set_named(std::string_view name) {
    for (const InstructionSet set : all_sets) {
        if (to_string(set) != name) continue;
        if (processor_has(set)) return set;
        throw UsageError("LOCKSTEP_INSTRUCTION_SET: this processor (or build) has no " + std::string(name) +
                         "; the widest here is " +
                         std::string(to_string(available_instruction_sets().back())));
    }
    throw UsageError("LOCKSTEP_INSTRUCTION_SET: '" + std::string(name) +
                     "' is unknown; use portable, avx2 or avx512, or leave it unset for the widest");
}

std::optional<InstructionSet> forced_instruction_set() {
    const char* const name = std::getenv("LOCKSTEP_INSTRUCTION_SET");
    if (name == nullptr || *name == '\0') return std::nullopt;
    return instruction_set_named(name);
}

InstructionSet active_instruction_set() {
    static const InstructionSet active =
        forced_instruction_set().value_or(available_instruction_sets().back());
    return active;
}

}  // namespace lockstep
