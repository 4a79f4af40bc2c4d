#define LOCKSTEP_SET avx2
#include "elementwise_impl.hpp"
