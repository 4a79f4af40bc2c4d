/// From a data set to what the network takes: reads a sample, varies it, transforms it.
#pragma once

#include <lockstep/base/aligned_vector.hpp>
#include <lockstep/base/export.hpp>
#include <lockstep/data/augmentation.hpp>
#include <lockstep/data/dataset.hpp>
#include <lockstep/data/input_transform.hpp>

#include <string>

namespace lockstep {

/// Reads inputs as float where that holds them exactly, else as double. All that it is made from outlives it; allocates
/// on construction only. Instantiated for float and double.
template <class Scalar>
class LOCKSTEP_EXPORT SampleReader {
  public:
    /// Throws UsageError if the transform takes other shapes than the data set has, or is `unit` and the data are no
    /// bytes; see check_outline, too.
    SampleReader(const Dataset& data, const InputTransform& transform,
                 const Augmentation* augmentation = nullptr);

    const Dataset& data() const { return data_; }

    /// Writes the input of a sample: transform.shape().size() numbers. Throws FileError where it cannot be read,
    /// NumericalError naming the sample and the feature where it holds a NaN, an infinity, or what becomes one in
    /// float.
    void read_input(Index sample, Scalar* out);
    /// Writes the data set's target().size() numbers. Throws FileError, or UsageError naming the sample, where it is no
    /// class of the data set's or not finite.
    void read_target(Index sample, double* out) const;

  private:
    template <class Value>
    void read_as(Index sample, AlignedVector<Value>& raw, AlignedVector<Value>& varied, Scalar* out);
    /// Throws where a number that double holds has become infinite in `out`.
    void check_fits(Index sample, const double* values, const Scalar* out) const;

    const Dataset& data_;
    const InputTransform& transform_;
    const Augmentation* augmentation_;
    Shape shape_;
    Target target_;
    bool as_float_;
    bool may_be_infinite_;
    AlignedVector<float> float_raw_, float_varied_;
    AlignedVector<double> double_raw_, double_varied_;
};

/// Throws UsageError unless the data set has samples, of at least one value each, and a target that is one of
/// classes, or values, or nothing.
LOCKSTEP_EXPORT void check_outline(const Dataset& data);
/// Throws NumericalError, naming the data set, the sample and the first feature that is NaN or infinite, if one is. For
/// float and double.
template <class Value>
LOCKSTEP_EXPORT void check_finite(const Dataset& data, Index sample, const Value* values);
/// The same, and UsageError where the data set says that its values are bytes and one is not a whole number from 0 to
/// 255.
template <class Value>
LOCKSTEP_EXPORT void check_input(const Dataset& data, Index sample, const Value* values);
/// Throws UsageError, naming the sample, if its target is no class of the data set's, or holds a value that is not
/// finite.
LOCKSTEP_EXPORT void check_target(const Dataset& data, Index sample, const double* target);
/// Throws UsageError, naming the sample, if one of its target values is no label: from 0, off, to 1, on.
LOCKSTEP_EXPORT void check_labels(const Dataset& data, Index sample, const double* target);

extern template class SampleReader<float>;
extern template class SampleReader<double>;

}  // namespace lockstep
