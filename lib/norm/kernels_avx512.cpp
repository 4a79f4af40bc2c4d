#define LOCKSTEP_SET avx512
#include "kernels_impl.hpp"
