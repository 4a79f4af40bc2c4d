#define LOCKSTEP_SET avx2
#include "correlation_impl.hpp"
