/// The extent of one sample, channels-last: height × width × channels. A dense sample is 1 × 1 × features.
#pragma once

#include <lockstep/base/export.hpp>

#include <cstddef>
#include <string>

namespace lockstep {

using Index = std::ptrdiff_t;

struct LOCKSTEP_EXPORT Shape {
    Index height = 1;
    Index width = 1;
    Index channels = 1;

    static Shape dense(Index features) { return {1, 1, features}; }

    Index pixels() const { return height * width; }
    /// Values of one sample.
    Index size() const { return height * width * channels; }

    /// "28x28x1" (height, width, channels), or "300" for a dense sample.
    std::string to_string() const;

    friend bool operator==(const Shape&, const Shape&) = default;
};

}  // namespace lockstep
