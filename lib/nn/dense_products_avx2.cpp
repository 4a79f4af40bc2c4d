#define LOCKSTEP_SET avx2
#include "dense_products_impl.hpp"
