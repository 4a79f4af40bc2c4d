#define LOCKSTEP_SET portable
#include "elementwise_impl.hpp"
