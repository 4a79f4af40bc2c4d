#include "elementwise.hpp"

#include <lockstep/base/export.hpp>

namespace lockstep {

template <class Scalar>
const Elementwise<Scalar>& elementwise() {
    return table_for<Elementwise<Scalar>>(active_instruction_set());
}

template LOCKSTEP_EXPORT const Elementwise<float>& elementwise();
template LOCKSTEP_EXPORT const Elementwise<double>& elementwise();

}  // namespace lockstep
