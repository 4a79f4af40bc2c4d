#define LOCKSTEP_KERNELS avx512
#include "kernels_impl.hpp"
