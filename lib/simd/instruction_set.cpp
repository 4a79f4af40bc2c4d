#include <lockstep/simd/instruction_set.hpp>

#include <lockstep/base/error.hpp>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <iterator>
#include <string>

namespace lockstep {
namespace {

constexpr InstructionSet all_sets[] = {InstructionSet::portable, InstructionSet::avx2,
                                       InstructionSet::avx512};

bool is_compiled(InstructionSet set) {
#ifdef LOCKSTEP_X86_INSTRUCTION_SETS
    return set <= InstructionSet::avx512;
#else
    return set == InstructionSet::portable;
#endif
}

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

/// AMD's family 19h (Zen 4) executes 512 bits in two halves: there Eigen 3.4 does 100 GFLOP/s with AVX2 and
/// 80 with AVX-512.
bool is_faster_with_avx2() {
#ifdef LOCKSTEP_X86_INSTRUCTION_SETS
    return __builtin_cpu_is("amdfam19h") != 0;
#else
    return false;
#endif
}

/// A choice that can be narrowed while others read it. Sets agree with each other on nothing but their value,
/// so that no order of memory accesses hangs on it.
class Choice {
  public:
    explicit Choice(InstructionSet first) : set_(first) {}
    InstructionSet get() const { return set_.load(std::memory_order_relaxed); }
    void limit(InstructionSet widest) {
        InstructionSet now = get();
        while (widest < now && !set_.compare_exchange_weak(now, widest, std::memory_order_relaxed)) {
        }
    }

  private:
    std::atomic<InstructionSet> set_;
};

Choice& kernel_choice() {
    static Choice choice(forced_instruction_set().value_or(available_instruction_sets().back()));
    return choice;
}

InstructionSet fastest_for_products() {
    if (const auto forced = forced_instruction_set()) return *forced;
    const InstructionSet widest = available_instruction_sets().back();
    return is_faster_with_avx2() ? std::min(widest, InstructionSet::avx2) : widest;
}

Choice& product_choice() {
    static Choice choice(fastest_for_products());
    return choice;
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

const std::vector<InstructionSet>& compiled_instruction_sets() {
    static const std::vector<InstructionSet> compiled = [] {
        std::vector<InstructionSet> found;
        std::ranges::copy_if(all_sets, std::back_inserter(found), is_compiled);
        return found;
    }();
    return compiled;
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
    return kernel_choice().get();
}

InstructionSet product_instruction_set() {
    return product_choice().get();
}

void limit_instruction_set(InstructionSet widest) {
    product_choice().limit(widest);  // first: products are never wider than kernels
    kernel_choice().limit(widest);
}

void limit_product_instruction_set(InstructionSet widest) {
    product_choice().limit(widest);
}

}  // namespace lockstep
