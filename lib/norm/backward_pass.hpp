/// The backward pass of a batch norm layer: sums of gradients → exchange → dx.
#pragma once

#include "layer_parts.hpp"
#include "saved_statistics.hpp"

#include <lockstep/comm/exchange_label.hpp>

#include <functional>
#include <span>

namespace lockstep {

/// Instantiated for float and double. The slices and the moments stay where they are from begin to end.
template <class Scalar>
class BackwardPass {
  public:
    explicit BackwardPass(LayerParts<Scalar>& layer) : layer_(layer) { connect(); }

    /// To be called after the layer's groups have changed.
    void connect();

    /// `wants_dx`: whether some rank wants dx; the same on all. Otherwise nothing is exchanged. `written(i)` is called
    /// when dγ and dβ of hosted replica i are there.
    void begin(std::span<const BackwardSlice<Scalar>> slices, const BatchMoments& saved, bool wants_dx,
               const std::function<void(int)>& written);
    /// Drives the exchange; true when end would not wait.
    bool poll();
    void end();

  private:
    void start_exchange(int group, const std::function<void(int)>& written);
    void write_parameter_gradients(const BackwardSlice<Scalar>& slice, int group, const double* sums) const;
    void run_alone(int group);
    GroupStatistics statistics(int group) const { return SavedStatistics::of(*saved_, group); }

    LayerParts<Scalar>& layer_;
    ExchangeLabel label_;
    // The pass under way.
    std::span<const BackwardSlice<Scalar>> slices_;
    const BatchMoments* saved_ = nullptr;
    bool exchanges_ = false;
};

extern template class BackwardPass<float>;
extern template class BackwardPass<double>;

}  // namespace lockstep
