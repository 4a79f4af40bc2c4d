/// Clipping by the global norm: gradients g of norm ‖g‖ > c become g·c/(‖g‖ + 1e-6), as torch.nn.utils.clip_grad_norm_ has
/// it. The squares are added in blocks of fixed size and those along a fixed tree, in double: the norm has the same bits
/// on any number of ranks.
#pragma once

#include <lockstep/base/aligned_vector.hpp>
#include <lockstep/base/export.hpp>
#include <lockstep/base/shape.hpp>

#include <span>

namespace lockstep {

/// √Σ g². Instantiated for float and double.
template <class Scalar>
LOCKSTEP_EXPORT double global_norm(std::span<const Scalar> gradients);

template <class Scalar>
class LOCKSTEP_EXPORT GradientClipping {
  public:
    /// For up to `size` gradients to be scaled.
    GradientClipping(double largest_norm, Index size)
        : largest_norm_(largest_norm), clipped_(static_cast<std::size_t>(size)) {}

    /// Those of gradients [begin, end) themselves where the norm of all is small enough, else an array of this object's
    /// that holds them scaled, valid until the next call.
    std::span<const Scalar> apply(std::span<const Scalar> gradients, Index begin, Index end);
    std::span<const Scalar> apply(std::span<const Scalar> gradients) {
        return apply(gradients, 0, std::ssize(gradients));
    }
    /// Of what apply was given last.
    double norm() const { return norm_; }

  private:
    double largest_norm_;
    double norm_ = 0;
    AlignedVector<Scalar> clipped_;
};

extern template class GradientClipping<float>;
extern template class GradientClipping<double>;

}  // namespace lockstep
