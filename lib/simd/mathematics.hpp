/// exp, expm1, log, log1p, tanh, erf and the logistic function on vectors of doubles: f_of<Scalar, Lanes>(x) is as
/// exact as Scalar, float or double, can hold. The same bits on every instruction set; right at zeros, infinities, NaN
/// and where results are subnormal.
///
/// Nothing is fused, and there are no tables: every lane sees the same additions, multiplications and divisions.
#pragma once

#include "double_mathematics.hpp"
#include "float_mathematics.hpp"

#undef LOCKSTEP_INLINE
