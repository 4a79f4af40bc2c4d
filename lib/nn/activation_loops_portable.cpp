#define LOCKSTEP_SET portable
#include "activation_loops_impl.hpp"
