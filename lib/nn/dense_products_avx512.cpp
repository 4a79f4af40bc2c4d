#define LOCKSTEP_PRODUCTS avx512
#include "dense_products_impl.hpp"
