#include <lockstep/data/augmentation.hpp>

#include <lockstep/base/error.hpp>
#include <lockstep/base/random.hpp>

#include <algorithm>
#include <string>

namespace lockstep {

Augmentation::Augmentation(const AugmentationOptions& options, std::uint64_t seed)
    : options_(options), seed_(seed) {
    constexpr Index most_padding = 1024;
    if (options.crop_padding < 0 || options.crop_padding > most_padding)
        throw UsageError("the crop padding is " + std::to_string(options.crop_padding) +
                         " pixels; it must be from 0 to " + std::to_string(most_padding));
}

template <class Value>
void Augmentation::apply(Index sample_index, const Shape& shape, const Value* in, Value* out) const {
    RandomStream random(seed_, RandomPurpose::augmentation, static_cast<std::uint64_t>(sample_index), epoch_);
    // Always drawn in this order, wanted or not, so that either option leaves what the other draws as it is.
    const bool mirrored = random.below(2) == 1 && options_.horizontal_flip;
    const auto positions = static_cast<std::uint64_t>(2 * options_.crop_padding + 1);
    const Index down = static_cast<Index>(random.below(positions)) - options_.crop_padding;
    const Index right = static_cast<Index>(random.below(positions)) - options_.crop_padding;

    for (Index row = 0; row < shape.height; ++row) {
        const Index from_row = row + down;
        for (Index column = 0; column < shape.width; ++column) {
            const Index from_column = (mirrored ? shape.width - 1 - column : column) + right;
            Value* const pixel = out + (row * shape.width + column) * shape.channels;
            if (from_row < 0 || from_row >= shape.height || from_column < 0 || from_column >= shape.width)
                std::fill_n(pixel, shape.channels, Value(0));
            else
                std::copy_n(in + (from_row * shape.width + from_column) * shape.channels, shape.channels,
                            pixel);
        }
    }
}

template LOCKSTEP_EXPORT void Augmentation::apply(Index, const Shape&, const float*, float*) const;
template LOCKSTEP_EXPORT void Augmentation::apply(Index, const Shape&, const double*, double*) const;

}  // namespace lockstep
