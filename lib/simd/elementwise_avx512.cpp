#define LOCKSTEP_SET avx512
#include "elementwise_impl.hpp"
