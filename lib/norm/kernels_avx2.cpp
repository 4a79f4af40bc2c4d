#define LOCKSTEP_SET avx2
#include "kernels_impl.hpp"
