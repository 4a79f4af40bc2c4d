#define LOCKSTEP_SET avx2
#include "activation_loops_impl.hpp"
