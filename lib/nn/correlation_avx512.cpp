#define LOCKSTEP_SET avx512
#include "correlation_impl.hpp"
