/// The built-in data set: 28 × 28 grey digits in 10 classes, drawn with a pen that no two times moves alike.
///
/// Each class has a few skeletons (the pen's path). An image is one of them with its control points jittered,
/// bent by a smooth random displacement field, put through a random affine map, and inked with a pen whose
/// width varies along the path; then blurred a little and given noise. All of it is a function of (seed,
/// index) in plain arithmetic: no transcendental function is used, so that C libraries have no say in the
/// pixels.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/data/images.hpp>

#include <cstdint>

namespace lockstep {

inline constexpr Index digit_side = 28;

/// The seed and sizes of the default split: train is the indices [0, 8000), test is [8000, 10000).
inline constexpr std::uint64_t default_digits_seed = 1;
inline constexpr Index default_digits_train = 8000;
inline constexpr Index default_digits_test = 2000;

/// Draws image `index` of the endless set `seed` into 28 × 28 `pixels`, row by row, and says which digit it
/// is.
LOCKSTEP_EXPORT void render_digit(std::uint64_t seed, std::uint64_t index, std::uint8_t* pixels,
                                  std::uint8_t& label);

/// The images first … first + count − 1 of the set `seed`. Throws UsageError if first < 0 or count < 1.
LOCKSTEP_EXPORT Images make_digits(std::uint64_t seed, Index first, Index count);

}  // namespace lockstep
