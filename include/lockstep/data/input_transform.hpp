/// From the bytes of an image to the numbers that the network sees.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/base/shape.hpp>
#include <lockstep/data/dataset.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

enum class InputKind {
    raw,           // 0 … 255
    unit,          // 0 … 1
    standardized,  // mean 0 and deviation 1 per channel, over the training set
};

/// From "raw", "unit" or "standardized". Throws UsageError for anything else.
LOCKSTEP_EXPORT InputKind parse_input_kind(std::string_view text);
LOCKSTEP_EXPORT std::string to_string(InputKind kind);

/// out = (byte − offset) / divisor, with one offset and one divisor per channel.
///
/// For `standardized` these are the mean and the (population) deviation of the channel over all samples and
/// pixels of the training set, from exact counts; a constant channel is only shifted. Dividing, where
/// multiplying with a reciprocal would do, makes 255 exactly 1, and leaves no multiply-add that builds could
/// round differently.
class LOCKSTEP_EXPORT InputTransform {
  public:
    /// Throws UsageError if `train` is empty.
    InputTransform(InputKind kind, const Dataset& train);
    /// The transform of a training set that is not at hand, from its numbers, one for each channel. Throws
    /// UsageError unless they fit the shape and the kind: finite, divisors positive, and 0 and 1 for raw, 0
    /// and 255 for unit.
    InputTransform(InputKind kind, const Shape& shape, std::vector<double> offsets,
                   std::vector<double> divisors);

    InputKind kind() const { return kind_; }
    const Shape& shape() const { return shape_; }
    double offset(Index channel) const { return offset_[static_cast<std::size_t>(channel)]; }
    double divisor(Index channel) const { return divisor_[static_cast<std::size_t>(channel)]; }

    /// Transforms one sample: shape().size() bytes to as many numbers, float or double, channels-last both.
    template <class Scalar>
    void apply(const std::uint8_t* sample, Scalar* out) const {
        const Index pixels = shape_.pixels(), channels = shape_.channels;
        for (Index channel = 0; channel < channels; ++channel) {
            const auto offset = static_cast<Scalar>(this->offset(channel));
            const auto divisor = static_cast<Scalar>(this->divisor(channel));
            for (Index at = channel; at < pixels * channels; at += channels)
                out[at] = (static_cast<Scalar>(sample[at]) - offset) / divisor;
        }
    }

    /// The same numbers for the same shape, to the bit.
    friend bool operator==(const InputTransform&, const InputTransform&) = default;

  private:
    void standardize(const Dataset& train);

    InputKind kind_;
    Shape shape_;
    std::vector<double> offset_;   // per channel
    std::vector<double> divisor_;  // per channel
};

}  // namespace lockstep
