/// Loops over flat arrays, for the widest instruction set that may be used: the same bits on each.
///
/// For float and double.
#pragma once

#include "tables.hpp"

#include <lockstep/base/shape.hpp>

namespace lockstep {

template <class Scalar>
struct Elementwise {
    /// result = left + right; result may be either.
    void (*add)(Scalar* result, const Scalar* left, const Scalar* right, Index count);
    /// z[row][c] += bias[c]
    void (*add_to_rows)(Scalar* z, const Scalar* bias, Index rows, Index columns);
    /// sums[c] = Σ over rows, in order, of dz[row][c]
    void (*sum_rows)(const Scalar* dz, Scalar* sums, Index rows, Index columns);
    /// to = from, past the caches: for what other cores have read before and will read next. To write into lines that
    /// they hold takes several times as long, for every line must be asked for first.
    void (*stream)(Scalar* to, const Scalar* from, Index count);
    /// What has been streamed is seen before what is written from here on.
    void (*end_streaming)();
};

LOCKSTEP_DECLARE_TABLES(Elementwise<float>);
LOCKSTEP_DECLARE_TABLES(Elementwise<double>);

/// Those for active_instruction_set().
template <class Scalar>
const Elementwise<Scalar>& elementwise();

}  // namespace lockstep
