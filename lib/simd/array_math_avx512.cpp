#define LOCKSTEP_SET avx512
#include "array_math_impl.hpp"
