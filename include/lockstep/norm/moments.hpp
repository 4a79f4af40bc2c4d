/// Moments of a set of values per channel, (n, mean, M2) with M2 = Σ (x − mean)², and their exact merge:
///
///     n = nₐ + n_b,  δ = mean_b − meanₐ,
///     mean = meanₐ + δ·n_b/n,  M2 = M2ₐ + M2_b + δ²·nₐ·n_b/n
///
/// (Chan, Golub, LeVeque: "Algorithms for computing the sample variance", 1983). Unlike E[x²] − E[x]² this
/// loses nothing where the deviation is small against the mean, and counts of 0 need no special care by
/// callers.
///
/// In memory: one count, then the means of all channels, then their M2; 1 + 2·channels doubles.
#pragma once

#include <lockstep/base/aligned_vector.hpp>
#include <lockstep/base/export.hpp>
#include <lockstep/base/shape.hpp>

#include <cstdint>

namespace lockstep {

inline Index moments_size(Index channels) {
    return 1 + 2 * channels;
}

/// A view of moments in memory; the owner of the memory outlives it.
template <class Double>
struct MomentsView {
    Double* data;
    Index channels;

    Double& count() const { return data[0]; }
    Double* mean() const { return data + 1; }
    Double* m2() const { return data + 1 + channels; }
};

/// left ← left ⊕ right, channel by channel.
LOCKSTEP_EXPORT void merge_moments(double* left, const double* right, Index channels);

/// Moments of a population that comes in batches.
class LOCKSTEP_EXPORT PopulationMoments {
  public:
    explicit PopulationMoments(Index channels);

    void add(const double* moments);
    /// Those with a value.
    std::int64_t batches() const { return batches_; }
    const AlignedVector<double>& moments() const { return moments_; }

  private:
    Index channels_;
    AlignedVector<double> moments_;
    std::int64_t batches_ = 0;
};

}  // namespace lockstep
