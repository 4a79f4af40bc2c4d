#define LOCKSTEP_PRODUCTS portable
#include "dense_products_impl.hpp"
