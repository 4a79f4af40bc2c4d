/// A view of a batch of activations, channels-last: [batch][height][width][channels].
#pragma once

#include <lockstep/base/shape.hpp>

#include <type_traits>

namespace lockstep {

/// batch samples of one shape, contiguous, in somebody else's memory. As a column-major matrix it is
/// channels × (batch·height·width): one pixel, or one dense sample, in each column.
template <class Scalar>
struct Tensor {
    Scalar* data = nullptr;
    Shape shape;
    Index batch = 0;

    Index size() const { return batch * shape.size(); }
    /// Columns of the matrix: pixels of all samples.
    Index columns() const { return batch * shape.pixels(); }

    operator Tensor<const Scalar>() const requires(!std::is_const_v<Scalar>) { return {data, shape, batch}; }
};

}  // namespace lockstep
