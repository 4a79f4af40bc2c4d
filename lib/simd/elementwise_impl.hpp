/// See kernels_impl.hpp for how this is included. The compiler vectorizes these loops; nothing is fused, so that every
/// set gives the same bits.
#pragma once

#include "elementwise.hpp"
#include "vector_pack.hpp"

namespace lockstep::LOCKSTEP_SET {
namespace {

template <class Scalar>
void add(Scalar* result, const Scalar* left, const Scalar* right, Index count) {
    for (Index i = 0; i < count; ++i) result[i] = left[i] + right[i];
}

template <class Scalar>
void add_to_rows(Scalar* z, const Scalar* bias, Index rows, Index columns) {
    for (Index row = 0; row < rows; ++row, z += columns)
        for (Index c = 0; c < columns; ++c) z[c] += bias[c];
}

template <class Scalar>
void sum_rows(const Scalar* dz, Scalar* sums, Index rows, Index columns) {
    for (Index c = 0; c < columns; ++c) sums[c] = 0;
    for (Index row = 0; row < rows; ++row, dz += columns)
        for (Index c = 0; c < columns; ++c) sums[c] += dz[c];
}

template <class Scalar>
void stream_values(Scalar* to, const Scalar* from, Index count) {
    constexpr int lanes = vector_lanes<Scalar>;
    const Index aligned = values_to_alignment(to), head = aligned < count ? aligned : count;
    Index i = 0;
    for (; i < head; ++i) to[i] = from[i];
    for (; i + lanes <= count; i += lanes) stream(to + i, load<lanes>(from + i));
    for (; i < count; ++i) to[i] = from[i];
}

}  // namespace
}  // namespace lockstep::LOCKSTEP_SET

namespace lockstep {

// NOLINTBEGIN(misc-definitions-in-headers): one source for each set includes this
template <>
const Elementwise<float> Tables<Elementwise<float>>::LOCKSTEP_SET{
    LOCKSTEP_SET::add<float>, LOCKSTEP_SET::add_to_rows<float>, LOCKSTEP_SET::sum_rows<float>,
    LOCKSTEP_SET::stream_values<float>, LOCKSTEP_SET::end_streaming};
template <>
const Elementwise<double> Tables<Elementwise<double>>::LOCKSTEP_SET{
    LOCKSTEP_SET::add<double>, LOCKSTEP_SET::add_to_rows<double>, LOCKSTEP_SET::sum_rows<double>,
    LOCKSTEP_SET::stream_values<double>, LOCKSTEP_SET::end_streaming};
// NOLINTEND(misc-definitions-in-headers)

}  // namespace lockstep
