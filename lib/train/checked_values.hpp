/// Reading arrays from files with the values looked at: a file can hold what no training can have.
#pragma once

#include <lockstep/train/safetensors.hpp>

#include <span>
#include <string>

namespace lockstep {

enum class ValueRange { finite, finite_and_not_negative };

/// Copies the array `name` of the given shape to `values`, row-major. Throws FileError as
/// SafetensorsFile::copy_to does, or naming the first value that is out of range, and where it stands.
/// Instantiated for float and double.
template <class Scalar>
void read_checked(const SafetensorsFile& file, const std::string& name, std::span<const Index> shape,
                  std::span<Scalar> values, ValueRange range);

}  // namespace lockstep
