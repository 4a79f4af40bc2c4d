#define LOCKSTEP_SET avx512
#include "dense_products_impl.hpp"
