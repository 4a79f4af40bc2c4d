/// The functions of mathematics.hpp over arrays of float or double, for each instruction set: the same bits on all.
#pragma once

#include "tables.hpp"

#include <lockstep/base/shape.hpp>

namespace lockstep {

/// z[i] = f(x[i]); z may be x.
template <class Scalar>
struct ArrayMath {
    using Function = void (*)(const Scalar* x, Scalar* z, Index count);
    Function exp, expm1, log, log1p, tanh, erf, sigmoid;
};

LOCKSTEP_DECLARE_TABLES(ArrayMath<float>);
LOCKSTEP_DECLARE_TABLES(ArrayMath<double>);

/// Those for a set that the processor has.
template <class Scalar>
const ArrayMath<Scalar>& array_math(InstructionSet set = active_instruction_set());

}  // namespace lockstep
