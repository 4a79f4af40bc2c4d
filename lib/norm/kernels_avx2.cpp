#define LOCKSTEP_KERNELS avx2
#include "kernels_impl.hpp"
