/// From the values of a data set to the numbers that the network sees.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/base/shape.hpp>

#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace lockstep {

enum class InputKind {
    raw,           // as they are
    unit,          // bytes, 0 … 255, as 0 … 1
    standardized,  // mean 0 and deviation 1 per channel, over the training set
};

/// From "raw", "unit" or "standardized". Throws UsageError for anything else.
LOCKSTEP_EXPORT InputKind parse_input_kind(std::string_view text);
LOCKSTEP_EXPORT std::string to_string(InputKind kind);

/// out = (value − offset) / divisor, with one offset and one divisor per channel.
///
/// For `standardized` these are the mean and the (population) deviation of the channel over all samples and
/// pixels of the training set; a constant channel is only shifted. Dividing, where multiplying with a
/// reciprocal would do, makes 255 exactly 1, and leaves no multiply-add that builds could round differently.
class LOCKSTEP_EXPORT InputTransform {
  public:
    /// Offsets and divisors, one for each channel of the shape. Throws UsageError unless they fit the shape and the
    /// kind: finite, divisors positive, and 0 and 1 for raw, 0 and 255 for unit.
    InputTransform(InputKind kind, const Shape& shape, std::vector<double> offsets,
                   std::vector<double> divisors);
    /// Of a kind whose numbers are known: raw or unit.
    InputTransform(InputKind kind, const Shape& shape);

    InputKind kind() const { return kind_; }
    const Shape& shape() const { return shape_; }
    double offset(Index channel) const { return exact_.offsets[static_cast<std::size_t>(channel)]; }
    double divisor(Index channel) const { return exact_.divisors[static_cast<std::size_t>(channel)]; }

    /// Transforms one sample: shape().size() values to as many numbers, channels-last both; computes in the type of the
    /// values. `out` may be `values`. For float and double.
    template <class Value, class Scalar>
    void apply(const Value* values, Scalar* out) const;

    /// The same numbers for the same shape, to the bit.
    friend bool operator==(const InputTransform&, const InputTransform&) = default;

  private:
    template <class Value>
    struct Numbers {  // of each channel
        std::vector<Value> offsets;
        std::vector<Value> divisors;

        friend bool operator==(const Numbers&, const Numbers&) = default;
    };

    template <class Value>
    const Numbers<Value>& numbers() const {
        if constexpr (std::is_same_v<Value, double>)
            return exact_;
        else
            return rounded_;
    }

    InputKind kind_;
    Shape shape_;
    Numbers<double> exact_;
    Numbers<float> rounded_;
};

}  // namespace lockstep
