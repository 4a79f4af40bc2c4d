/// The loops of max pooling, for the widest instruction set that may be used: the same bits on each.
///
/// For float and double.
#pragma once

#include "../simd/tables.hpp"

#include <lockstep/nn/pooling.hpp>

#include <cstdint>

namespace lockstep {

/// Images are channels-last.
struct PoolExtents {
    Shape input, output;
    PoolOptions options;
    Index batch;
};

template <class Scalar>
struct PoolingLoops {
    /// z = the largest value of each window, or its first NaN: a diverged run must show, as it does in PyTorch.
    /// `winners` is null or has room for the number in its window of the pixel that each value of z comes from.
    void (*maximum)(const PoolExtents& extents, const Scalar* x, Scalar* z, std::uint16_t* winners);
    /// dx += dz where it has won. dx does not overlap dz.
    void (*add_to_winners)(const PoolExtents& extents, const std::uint16_t* winners, const Scalar* dz,
                           Scalar* dx);
};

LOCKSTEP_DECLARE_TABLES(PoolingLoops<float>);
LOCKSTEP_DECLARE_TABLES(PoolingLoops<double>);

template <class Scalar>
const PoolingLoops<Scalar>& pooling_loops() {
    return table_for<PoolingLoops<Scalar>>(active_instruction_set());
}

}  // namespace lockstep
