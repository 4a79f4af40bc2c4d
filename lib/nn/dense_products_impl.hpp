/// The products, to be included by one source for each instruction set, which names the namespace
/// (LOCKSTEP_SET) and is compiled with the flags of that set.
///
/// Each of these sources has an Eigen of its own, under another name: Eigen's templates are the same symbols
/// whatever they are compiled for, and a linker would keep one of them for all.
#pragma once

#define LOCKSTEP_JOIN_NAMES(left, right) left##right
#define LOCKSTEP_EIGEN_FOR(set) LOCKSTEP_JOIN_NAMES(lockstep_eigen_, set)
#define Eigen LOCKSTEP_EIGEN_FOR(LOCKSTEP_SET)

#include "dense_products.hpp"

#include <Eigen/Core>

namespace lockstep::LOCKSTEP_SET {
namespace {

template <class Scalar>
using Matrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic>;
template <class Scalar>
using View = Eigen::Map<Matrix<Scalar>>;
template <class Scalar>
using ConstView = Eigen::Map<const Matrix<Scalar>>;

template <class Scalar>
void output(const Scalar* weight, const Scalar* x, Scalar* z, const DenseExtents& e) {
    View<Scalar>(z, e.outputs, e.batch).noalias() =
        ConstView<Scalar>(weight, e.inputs, e.outputs).transpose() * ConstView<Scalar>(x, e.inputs, e.batch);
}

template <class Scalar>
void weight_gradient(const Scalar* x, const Scalar* dz, Scalar* weight_gradient, const DenseExtents& e) {
    View<Scalar>(weight_gradient, e.inputs, e.outputs).noalias() =
        ConstView<Scalar>(x, e.inputs, e.batch) * ConstView<Scalar>(dz, e.outputs, e.batch).transpose();
}

template <class Scalar>
void input_gradient(const Scalar* weight, const Scalar* dz, Scalar* dx, const DenseExtents& e) {
    View<Scalar>(dx, e.inputs, e.batch).noalias() =
        ConstView<Scalar>(weight, e.inputs, e.outputs) * ConstView<Scalar>(dz, e.outputs, e.batch);
}

}  // namespace

}  // namespace lockstep::LOCKSTEP_SET

namespace lockstep {

// NOLINTBEGIN(misc-definitions-in-headers): one source for each set includes this
template <>
const DenseProducts<float> Tables<DenseProducts<float>>::LOCKSTEP_SET{
    LOCKSTEP_SET::output<float>, LOCKSTEP_SET::weight_gradient<float>, LOCKSTEP_SET::input_gradient<float>};
template <>
const DenseProducts<double> Tables<DenseProducts<double>>::LOCKSTEP_SET{LOCKSTEP_SET::output<double>,
                                                                        LOCKSTEP_SET::weight_gradient<double>,
                                                                        LOCKSTEP_SET::input_gradient<double>};
// NOLINTEND(misc-definitions-in-headers)

}  // namespace lockstep
