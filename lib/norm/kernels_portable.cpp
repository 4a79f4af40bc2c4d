#define LOCKSTEP_KERNELS portable
#include "kernels_impl.hpp"
