#define LOCKSTEP_PRODUCTS avx2
#include "dense_products_impl.hpp"
