#define LOCKSTEP_SET portable
#include "array_math_impl.hpp"
