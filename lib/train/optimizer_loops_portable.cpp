#define LOCKSTEP_SET portable
#include "optimizer_loops_impl.hpp"
