#define LOCKSTEP_SET avx2
#include "optimizer_loops_impl.hpp"
