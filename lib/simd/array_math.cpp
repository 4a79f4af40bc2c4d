#include "array_math.hpp"

#include <lockstep/base/export.hpp>

namespace lockstep {

template <class Scalar>
const ArrayMath<Scalar>& array_math(InstructionSet set) {
    return table_for<ArrayMath<Scalar>>(set);
}

template LOCKSTEP_EXPORT const ArrayMath<float>& array_math(InstructionSet);
template LOCKSTEP_EXPORT const ArrayMath<double>& array_math(InstructionSet);

}  // namespace lockstep
