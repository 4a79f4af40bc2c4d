/// One table of functions for each instruction set, and the choice among them.
///
/// A table is a struct of function pointers. Its header says LOCKSTEP_DECLARE_TABLES(Table); one source for
/// each instruction set, which names that set (LOCKSTEP_SET) and is compiled with its flags, says
///
///     template <>
///     const Table Tables<Table>::LOCKSTEP_SET{...};
///
/// (see lockstep_add_instruction_sets in cmake/LockstepTarget.cmake), and the caller table_for<Table>(set).
#pragma once

#include <lockstep/simd/instruction_set.hpp>

namespace lockstep {

template <class Table>
struct Tables {
    static const Table portable, avx2, avx512;
};

/// In the namespace lockstep.
#define LOCKSTEP_DECLARE_TABLES(...)                 \
    template <>                                      \
    const __VA_ARGS__ Tables<__VA_ARGS__>::portable; \
    template <>                                      \
    const __VA_ARGS__ Tables<__VA_ARGS__>::avx2;     \
    template <>                                      \
    const __VA_ARGS__ Tables<__VA_ARGS__>::avx512

/// The table for a set; the portable one if the build has no other.
template <class Table>
const Table& table_for(InstructionSet set) {
    switch (set) {
#ifdef LOCKSTEP_X86_INSTRUCTION_SETS
        case InstructionSet::avx512:
            return Tables<Table>::avx512;
        case InstructionSet::avx2:
            return Tables<Table>::avx2;
#endif
        default:
            return Tables<Table>::portable;
    }
}

}  // namespace lockstep
