/// What is computed once for each channel, between the kernels: the coefficients of normalize and input_gradient (see
/// kernels.hpp), and dγ and dβ.
///
/// With r = μ − shift, which rounding the mean to Scalar left over, and the sums that gradient_sums takes:
///
///     scale = γ/√(σ² + ε),  offset = β − r·scale
///     dβ = Σ dz,  dγ = (Σ dz·(x − shift) − r·Σ dz)/√(σ² + ε)
///     dx = scale·dz + k·(x − shift) − scale·dβ/m − k·r       with k = −scale·dγ/(m·√(σ² + ε))
#pragma once

#include <lockstep/base/aligned_vector.hpp>
#include <lockstep/norm/kernels.hpp>

namespace lockstep {

/// A statistics group's, for one batch: count, and arrays of one value a channel.
struct GroupStatistics {
    double count;
    const double* mean;
    const double* inverse_deviation;  ///< 1/√(σ² + ε)
};

/// Instantiated for float and double.
template <class Scalar>
class ChannelCoefficients {
  public:
    explicit ChannelCoefficients(Index channels);

    /// Those of normalize, for the channels of the range.
    void normalize(const GroupStatistics& statistics, const Scalar* gamma, const Scalar* beta,
                   ChannelRange range);
    /// The same in backward, as far as it needs them: all of them tell where an activation let the gradient through.
    void recall(const GroupStatistics& statistics, const Scalar* gamma, const Scalar* beta,
                Activation activation, ChannelRange range);
    /// Those of input_gradient, from the group's sums; after normalize or recall. Without sums the statistics were
    /// constants: only the first term of dx is left.
    void input_gradient(const GroupStatistics& statistics, const Scalar* gamma, const double* sums,
                        ChannelRange range);
    /// Writes dγ and dβ of the values whose sums these are; after normalize or recall.
    void parameter_gradients(const GroupStatistics& statistics, const double* sums, Scalar* gamma_gradient,
                             Scalar* beta_gradient) const;

    NormalizeCoefficients<Scalar> forward() const { return {shift_.data(), scale_.data(), offset_.data()}; }
    InputGradientCoefficients<Scalar> backward() const {
        return {forward(), gradient_scale_.data(), input_scale_.data(), gradient_offset_.data()};
    }

  private:
    void set_shift(const GroupStatistics& statistics, ChannelRange range);

    Index channels_;
    AlignedVector<Scalar> shift_, scale_, offset_;
    AlignedVector<Scalar> gradient_scale_, input_scale_, gradient_offset_;
};

extern template class ChannelCoefficients<float>;
extern template class ChannelCoefficients<double>;

}  // namespace lockstep
