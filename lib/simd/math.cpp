#include "math.hpp"

#define LOCKSTEP_SET one_value
#include "mathematics.hpp"

namespace lockstep {

double exp_of(double x) {
    return one_value::exp_of<1>(x);
}
double expm1_of(double x) {
    return one_value::expm1_of<1>(x);
}
double log_of(double x) {
    return one_value::log_of<1>(x);
}
double log1p_of(double x) {
    return one_value::log1p_of<1>(x);
}
double tanh_of(double x) {
    return one_value::tanh_of<1>(x);
}
double erf_of(double x) {
    return one_value::erf_of<1>(x);
}
double sigmoid_of(double x) {
    return one_value::sigmoid_of<1>(x);
}

}  // namespace lockstep
