#include "math.hpp"

#define LOCKSTEP_SET one_value
#include "double_mathematics.hpp"
#undef LOCKSTEP_INLINE

namespace lockstep {

double exp_of(double x) {
    return one_value::exp_of<double, 1>(x);
}
double expm1_of(double x) {
    return one_value::expm1_of<double, 1>(x);
}
double log_of(double x) {
    return one_value::log_of<double, 1>(x);
}
double log1p_of(double x) {
    return one_value::log1p_of<double, 1>(x);
}
double tanh_of(double x) {
    return one_value::tanh_of<double, 1>(x);
}
double erf_of(double x) {
    return one_value::erf_of<double, 1>(x);
}
double sigmoid_of(double x) {
    return one_value::sigmoid_of<double, 1>(x);
}

}  // namespace lockstep
