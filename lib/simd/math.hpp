/// The functions of mathematics.hpp for one double: the bits that the kernels compute, on every machine, which libm's
/// are not.
#pragma once

#include <lockstep/base/export.hpp>

namespace lockstep {

LOCKSTEP_EXPORT double exp_of(double x);
LOCKSTEP_EXPORT double expm1_of(double x);
LOCKSTEP_EXPORT double log_of(double x);
LOCKSTEP_EXPORT double log1p_of(double x);
LOCKSTEP_EXPORT double tanh_of(double x);
LOCKSTEP_EXPORT double erf_of(double x);
/// 1/(1 + exp(−x))
LOCKSTEP_EXPORT double sigmoid_of(double x);

}  // namespace lockstep
