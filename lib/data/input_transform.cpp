#include <lockstep/data/input_transform.hpp>

#include <lockstep/base/error.hpp>

#include <array>
#include <cmath>
#include <utility>

namespace lockstep {

InputKind parse_input_kind(std::string_view text) {
    for (const InputKind kind : {InputKind::raw, InputKind::unit, InputKind::standardized})
        if (text == to_string(kind)) return kind;
    throw UsageError("there is no kind of input \"" + std::string(text) +
                     "\"; there are raw, unit and standardized");
}

std::string to_string(InputKind kind) {
    switch (kind) {
        case InputKind::raw:
            return "raw";
        case InputKind::unit:
            return "unit";
        case InputKind::standardized:
            return "standardized";
    }
    throw UsageError("not a kind of input: " + std::to_string(static_cast<int>(kind)));
}

InputTransform::InputTransform(InputKind kind, const Dataset& train)
    : kind_(kind),
      shape_(train.shape),
      offset_(static_cast<std::size_t>(shape_.channels), 0.0),
      divisor_(static_cast<std::size_t>(shape_.channels), kind == InputKind::unit ? 255.0 : 1.0) {
    if (train.size() < 1 || shape_.size() < 1)
        throw UsageError("the training set " + train.name + " is empty");
    if (kind == InputKind::standardized) standardize(train);
}

InputTransform::InputTransform(InputKind kind, const Shape& shape, std::vector<double> offsets,
                               std::vector<double> divisors)
    : kind_(kind), shape_(shape), offset_(std::move(offsets)), divisor_(std::move(divisors)) {
    const auto channels = static_cast<std::size_t>(shape_.channels);
    if (shape_.height < 1 || shape_.width < 1 || shape_.channels < 1)
        throw UsageError("an input transform needs an image of at least one value, not " +
                         shape_.to_string());
    if (offset_.size() != channels || divisor_.size() != channels)
        throw UsageError("an input transform of " + std::to_string(channels) +
                         " channels needs an offset and a divisor for each, but has " +
                         std::to_string(offset_.size()) + " and " + std::to_string(divisor_.size()));
    for (std::size_t channel = 0; channel < channels; ++channel) {
        const double offset = offset_[channel], divisor = divisor_[channel];
        const bool fits = kind == InputKind::standardized
                              ? std::isfinite(offset) && std::isfinite(divisor) && divisor > 0
                              : offset == 0 && divisor == (kind == InputKind::unit ? 255.0 : 1.0);
        if (!fits)
            throw UsageError("an input transform of kind " + to_string(kind) + " cannot subtract " +
                             std::to_string(offset) + " and divide by " + std::to_string(divisor));
    }
}

void InputTransform::standardize(const Dataset& train) {
    const auto channels = static_cast<std::size_t>(shape_.channels);
    // How often each channel takes each value: exact, whatever the size and the order of the samples.
    std::vector<std::array<std::uint64_t, 256>> counts(channels);
    for (std::size_t at = 0; at < train.pixels.size(); at += channels)
        for (std::size_t channel = 0; channel < channels; ++channel)
            ++counts[channel][train.pixels[at + channel]];

    const auto total = static_cast<double>(train.size() * shape_.pixels());
    for (std::size_t channel = 0; channel < channels; ++channel) {
        std::uint64_t sum = 0;
        for (std::size_t value = 0; value < 256; ++value) sum += value * counts[channel][value];
        const double mean = static_cast<double>(sum) / total;
        double squares = 0;
        for (std::size_t value = 0; value < 256; ++value) {
            const double deviation = static_cast<double>(value) - mean;
            squares += static_cast<double>(counts[channel][value]) * deviation * deviation;
        }
        offset_[channel] = mean;
        if (squares > 0) divisor_[channel] = std::sqrt(squares / total);
    }
}

}  // namespace lockstep
