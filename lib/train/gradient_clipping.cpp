#include <lockstep/train/gradient_clipping.hpp>

#include <array>
#include <cmath>

namespace lockstep {
namespace {

constexpr std::size_t block = 4096;

template <class Scalar>
double squares(std::span<const Scalar> values) {
    if (values.size() > block) {
        const std::size_t blocks = (values.size() - 1) / block + 1, middle = blocks / 2 * block;
        return squares(values.first(middle)) + squares(values.subspan(middle));
    }
    // In lanes, so that compilers vectorize it: which value meets which lane is a matter of its place alone.
    constexpr std::size_t lanes = 8;
    std::array<double, lanes> sums{};
    const std::size_t whole = values.size() / lanes * lanes;
    for (std::size_t i = 0; i < whole; i += lanes)
        for (std::size_t lane = 0; lane < lanes; ++lane) {
            const auto value = static_cast<double>(values[i + lane]);
            sums[lane] += value * value;
        }
    for (std::size_t i = whole; i < values.size(); ++i) {
        const auto value = static_cast<double>(values[i]);
        sums[i - whole] += value * value;
    }
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

}  // namespace

template <class Scalar>
double global_norm(std::span<const Scalar> gradients) {
    return std::sqrt(squares(gradients));
}

template <class Scalar>
std::span<const Scalar> GradientClipping<Scalar>::apply(std::span<const Scalar> gradients, Index begin,
                                                        Index end) {
    norm_ = global_norm(gradients);
    const double factor = largest_norm_ / (norm_ + 1e-6);
    const auto wanted =
        gradients.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
    if (!(factor < 1)) return wanted;
    const auto scale = static_cast<Scalar>(factor);
    for (std::size_t i = 0; i < wanted.size(); ++i) clipped_[i] = wanted[i] * scale;
    return std::span<const Scalar>(clipped_).first(wanted.size());
}

template LOCKSTEP_EXPORT double global_norm(std::span<const float>);
template LOCKSTEP_EXPORT double global_norm(std::span<const double>);
template class GradientClipping<float>;
template class GradientClipping<double>;

}  // namespace lockstep
