#define LOCKSTEP_SET avx512
#include "activation_loops_impl.hpp"
