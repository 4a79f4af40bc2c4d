#define LOCKSTEP_SET portable
#include "correlation_impl.hpp"
