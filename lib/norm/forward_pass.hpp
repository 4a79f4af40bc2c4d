/// The forward pass of a batch norm layer: moments → exchange → normalize.
#pragma once

#include "layer_parts.hpp"
#include "saved_statistics.hpp"

#include <lockstep/comm/exchange_label.hpp>
#include <lockstep/norm/moments.hpp>

#include <optional>
#include <span>

namespace lockstep {

/// Instantiated for float and double. The slices and the moments stay where they are from begin to end.
template <class Scalar>
class ForwardPass {
  public:
    explicit ForwardPass(LayerParts<Scalar>& layer) : layer_(layer) { connect(); }

    /// To be called after the layer's groups have changed.
    void connect();

    void begin(std::span<const ForwardSlice<Scalar>> slices, BatchMoments& saved);
    /// Drives the exchange; true when end would not wait.
    bool poll();
    void end();

    /// The moments of the first group in the last pass; null if it took none.
    const double* group_moments() const { return group_moments_; }
    /// The moments of a hosted replica in the last pass, if the running update is deferred.
    const double* replica_moments(int i) const {
        return replica_moments_.data() + i * moments_size(layer_.channels);
    }

  private:
    void start_exchange(const StatisticsGroup& group);
    void keep_moments(int replica, const double* moments);
    void normalize_group(int group);
    void run_alone(int group);

    LayerParts<Scalar>& layer_;
    ExchangeLabel label_;
    AlignedVector<double> replica_moments_;
    const double* group_moments_ = nullptr;
    // The pass under way.
    std::span<const ForwardSlice<Scalar>> slices_;
    std::optional<SavedStatistics> saved_;
    bool takes_moments_ = false;
};

extern template class ForwardPass<float>;
extern template class ForwardPass<double>;

}  // namespace lockstep
