#define LOCKSTEP_SET portable
#include "dense_products_impl.hpp"
