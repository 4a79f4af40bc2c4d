#define LOCKSTEP_SET portable
#include "pooling_loops_impl.hpp"
