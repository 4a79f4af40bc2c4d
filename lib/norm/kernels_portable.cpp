#define LOCKSTEP_SET portable
#include "kernels_impl.hpp"
