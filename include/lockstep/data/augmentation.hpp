/// Random crops and mirror images of training samples, as a function of (seed, epoch, sample).
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/base/shape.hpp>

#include <cstdint>

namespace lockstep {

struct AugmentationOptions {
    Index crop_padding = 0;  // zeros put on every side before the crop back to size, in pixels; at most 1024
    bool horizontal_flip = false;  // mirror every other image

    bool enabled() const { return crop_padding > 0 || horizontal_flip; }
};

/// Moves an image by up to crop_padding pixels either way (what comes in is zero), then mirrors it or not.
class LOCKSTEP_EXPORT Augmentation {
  public:
    /// Starts epoch 0. Throws UsageError if crop_padding is not in 0 … 1024.
    Augmentation(const AugmentationOptions& options, std::uint64_t seed);

    bool enabled() const { return options_.enabled(); }
    void start_epoch(Index epoch) { epoch_ = static_cast<std::uint64_t>(epoch); }

    /// Writes sample `sample_index`, whose shape.size() values are at `in`, to as many at `out`; the two must not
    /// overlap. What is drawn depends on nothing but the seed, the epoch and the index. For float and double.
    template <class Value>
    void apply(Index sample_index, const Shape& shape, const Value* in, Value* out) const;

  private:
    AugmentationOptions options_;
    std::uint64_t seed_;
    std::uint64_t epoch_ = 0;
};

}  // namespace lockstep
