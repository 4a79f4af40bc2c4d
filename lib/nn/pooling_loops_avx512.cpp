#define LOCKSTEP_SET avx512
#include "pooling_loops_impl.hpp"
