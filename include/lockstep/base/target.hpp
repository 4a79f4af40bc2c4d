/// What belongs to an input: what a network is to find.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/base/shape.hpp>

#include <string>

namespace lockstep {

/// One of so many classes, or so many values, or (neither) nothing, as where predictions are still to be made.
struct LOCKSTEP_EXPORT Target {
    int classes = 0;
    Index values = 0;

    /// Numbers that a target is read as: the class alone, or the values.
    Index size() const { return classes > 0 ? 1 : values; }
    /// "in 10 classes", "with 2 target values", "without targets".
    std::string to_string() const;

    friend bool operator==(const Target&, const Target&) = default;
};

}  // namespace lockstep
