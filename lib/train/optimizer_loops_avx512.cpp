#define LOCKSTEP_SET avx512
#include "optimizer_loops_impl.hpp"
