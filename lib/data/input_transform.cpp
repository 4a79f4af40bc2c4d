#include <lockstep/data/input_transform.hpp>

#include <lockstep/base/error.hpp>
#include <lockstep/base/settings.hpp>

#include <algorithm>
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

InputTransform::InputTransform(InputKind kind, const Shape& shape)
    : InputTransform(kind, shape, std::vector<double>(static_cast<std::size_t>(shape.channels), 0.0),
                     std::vector<double>(static_cast<std::size_t>(shape.channels),
                                         kind == InputKind::unit ? 255.0 : 1.0)) {}

InputTransform::InputTransform(InputKind kind, const Shape& shape, std::vector<double> offsets,
                               std::vector<double> divisors)
    : kind_(kind), shape_(shape), exact_{std::move(offsets), std::move(divisors)} {
    const auto channels = static_cast<std::size_t>(shape_.channels);
    if (shape_.height < 1 || shape_.width < 1 || shape_.channels < 1)
        throw UsageError("an input transform needs an image of at least one value, not " +
                         shape_.to_string());
    if (exact_.offsets.size() != channels || exact_.divisors.size() != channels)
        throw UsageError("an input transform of " + std::to_string(channels) +
                         " channels needs an offset and a divisor for each, but has " +
                         std::to_string(exact_.offsets.size()) + " and " +
                         std::to_string(exact_.divisors.size()));
    for (std::size_t channel = 0; channel < channels; ++channel) {
        const double offset = exact_.offsets[channel], divisor = exact_.divisors[channel];
        const bool fits = kind == InputKind::standardized
                              ? std::isfinite(offset) && std::isfinite(divisor) && divisor > 0
                              : offset == 0 && divisor == (kind == InputKind::unit ? 255.0 : 1.0);
        if (!fits)
            throw UsageError("an input transform of kind " + to_string(kind) + " cannot subtract " +
                             shortest_text(offset) + " and divide by " + shortest_text(divisor));
        rounded_.offsets.push_back(static_cast<float>(offset));
        rounded_.divisors.push_back(static_cast<float>(divisor));
    }
}

template <class Value, class Scalar>
void InputTransform::apply(const Value* values, Scalar* out) const {
    const Index size = shape_.size(), channels = shape_.channels;
    if (kind_ == InputKind::raw) {
        if (static_cast<const void*>(values) != out) std::copy_n(values, size, out);
        return;
    }
    const Value* const offsets = numbers<Value>().offsets.data();
    const Value* const divisors = numbers<Value>().divisors.data();
    if (channels == 1) {
        const Value offset = offsets[0], divisor = divisors[0];
        for (Index at = 0; at < size; ++at) out[at] = static_cast<Scalar>((values[at] - offset) / divisor);
        return;
    }
    for (Index pixel = 0; pixel < size; pixel += channels)
        for (Index channel = 0; channel < channels; ++channel)
            out[pixel + channel] =
                static_cast<Scalar>((values[pixel + channel] - offsets[channel]) / divisors[channel]);
}

template LOCKSTEP_EXPORT void InputTransform::apply(const float*, float*) const;
template LOCKSTEP_EXPORT void InputTransform::apply(const double*, float*) const;
template LOCKSTEP_EXPORT void InputTransform::apply(const double*, double*) const;

}  // namespace lockstep
