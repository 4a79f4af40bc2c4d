/// The pen paths that the built-in digits are drawn from.
#pragma once

#include <span>

namespace lockstep {

/// A place on the unit square: x to the right, y down; digits are about 0.6 wide and 1 high.
struct SkeletonPoint {
    double x;
    double y;
};

/// What the pen draws without being lifted: a smooth curve through the points. A point given twice is a
/// corner.
using SkeletonStroke = std::span<const SkeletonPoint>;

/// One way of writing a digit.
using Skeleton = std::span<const SkeletonStroke>;

/// The ways of writing the digit `label` (0 … 9).
std::span<const Skeleton> digit_skeletons(int label);

}  // namespace lockstep
