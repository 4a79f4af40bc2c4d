/// Tensors and parameter arrays as Eigen matrices.
#pragma once

#include <lockstep/nn/tensor.hpp>

#include <Eigen/Core>

#include <type_traits>

namespace lockstep {

template <class Scalar>
using Matrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic>;

/// A column-major matrix in somebody else's memory; const where Scalar is.
template <class Scalar>
using MatrixView = Eigen::Map<
    std::conditional_t<std::is_const_v<Scalar>, const Matrix<std::remove_const_t<Scalar>>, Matrix<Scalar>>>;

template <class Scalar>
MatrixView<Scalar> view(Scalar* data, Index rows, Index columns) {
    return {data, rows, columns};
}

}  // namespace lockstep
