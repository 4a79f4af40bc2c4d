#define LOCKSTEP_SET avx2
#include "pooling_loops_impl.hpp"
