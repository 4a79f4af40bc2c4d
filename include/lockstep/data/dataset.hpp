/// What a network is trained on: an interface that anybody's data can stand behind.
///
/// A data set has samples 0 … size() − 1, each with an input of one shape and a target. It is read sample by sample, in
/// any order and by several processes, each of which reads what it needs. It never sees a communicator.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/base/shape.hpp>
#include <lockstep/base/target.hpp>

#include <string>

namespace lockstep {

/// What the input values are exact in.
enum class InputPrecision {
    byte,          ///< whole numbers 0 … 255, as in images; never NaN
    float_values,  ///< float
    double_values,
};

class LOCKSTEP_EXPORT Dataset {
  public:
    virtual ~Dataset() = default;

    /// For people: "mnist", "train.npy".
    virtual std::string name() const = 0;
    /// Number of samples.
    virtual Index size() const = 0;
    /// Of each input.
    virtual Shape input_shape() const = 0;
    virtual Target target() const = 0;
    virtual InputPrecision precision() const { return InputPrecision::double_values; }

    /// Writes the input_shape().size() values of a sample, channels-last. Throws FileError where they cannot be read.
    /// Called from one thread at a time.
    virtual void read_input(Index sample, double* values) const = 0;
    /// The same as float; rounds the doubles unless a data set knows better.
    virtual void read_input(Index sample, float* values) const;
    /// Writes the target().size() numbers of a sample's target; a class as a number 0 … classes − 1.
    virtual void read_target(Index sample, double* values) const = 0;

    /// Says that the samples first … first + count − 1 will be read soon.
    virtual void prefetch(Index /*first*/, Index /*count*/) const {}
    /// Throws FileError if the data are no longer what they were when they were opened, as far as that can be seen at
    /// once.
    virtual void check_unchanged() const {}
};

}  // namespace lockstep
