#define LOCKSTEP_SET avx2
#include "array_math_impl.hpp"
