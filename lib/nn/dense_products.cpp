#include "dense_products.hpp"

#include <lockstep/norm/instruction_set.hpp>

#include <tuple>

namespace lockstep {

namespace portable {
extern const DenseProducts<float> float_products;
extern const DenseProducts<double> double_products;
}  // namespace portable
namespace avx2 {
extern const DenseProducts<float> float_products;
extern const DenseProducts<double> double_products;
}  // namespace avx2
namespace avx512 {
extern const DenseProducts<float> float_products;
extern const DenseProducts<double> double_products;
}  // namespace avx512

namespace {

/// AMD's family 19h (Zen 4) executes 512 bits in two halves: there Eigen 3.4 does 100 GFLOP/s with AVX2 and
/// 80 with AVX-512.
bool is_faster_with_avx2() {
#ifdef LOCKSTEP_X86_INSTRUCTION_SETS
    return __builtin_cpu_is("amdfam19h") != 0;
#else
    return false;
#endif
}

InstructionSet instruction_set_for_products() {
    const InstructionSet active = active_instruction_set();
    const bool may_choose = !forced_instruction_set();
    return active == InstructionSet::avx512 && may_choose && is_faster_with_avx2() ? InstructionSet::avx2
                                                                                   : active;
}

template <class Scalar>
const DenseProducts<Scalar>& products_for(InstructionSet set) {
    using Wanted = const DenseProducts<Scalar>*;
    switch (set) {
#ifdef LOCKSTEP_X86_INSTRUCTION_SETS
        case InstructionSet::avx512:
            return *std::get<Wanted>(std::tuple(&avx512::float_products, &avx512::double_products));
        case InstructionSet::avx2:
            return *std::get<Wanted>(std::tuple(&avx2::float_products, &avx2::double_products));
#endif
        default:
            return *std::get<Wanted>(std::tuple(&portable::float_products, &portable::double_products));
    }
}

}  // namespace

template <class Scalar>
const DenseProducts<Scalar>& dense_products() {
    static const DenseProducts<Scalar>& fastest = products_for<Scalar>(instruction_set_for_products());
    return fastest;
}

template const DenseProducts<float>& dense_products();
template const DenseProducts<double>& dense_products();

}  // namespace lockstep
