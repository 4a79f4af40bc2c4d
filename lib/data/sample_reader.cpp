#include <lockstep/data/sample_reader.hpp>

#include <lockstep/base/error.hpp>
#include <lockstep/base/settings.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

namespace lockstep {
namespace {

constexpr const char* cure = "leave such samples out, or fill the gaps";

/// The first value that is NaN or infinite, or the end.
template <class Value>
const Value* find_not_finite(const Value* values, Index count) {
    // Without a branch in the loop compilers vectorize it; the search comes after.
    constexpr Value largest = std::numeric_limits<Value>::max();
    int finite = 1;
    for (Index i = 0; i < count; ++i) finite &= static_cast<int>(std::abs(values[i]) <= largest);
    if (finite != 0) return values + count;
    return std::find_if(values, values + count, [](Value value) { return !std::isfinite(value); });
}

}  // namespace

void check_outline(const Dataset& data) {
    const Shape shape = data.input_shape();
    const Target target = data.target();
    const std::string whose = "data set " + data.name() + ": ";
    if (data.size() < 1) throw UsageError(whose + "it has no sample");
    if (shape.height < 1 || shape.width < 1 || shape.channels < 1)
        throw UsageError(whose + "its samples are " + shape.to_string() + ", without a value");
    if (target.classes < 0 || target.values < 0 || (target.classes > 0 && target.values > 0))
        throw UsageError(whose + "its target has " + std::to_string(target.classes) + " classes and " +
                         std::to_string(target.values) +
                         " values: it is one of so many classes, or so many " +
                         "values, and the other number 0");
}

template <class Value>
void check_finite(const Dataset& data, Index sample, const Value* values) {
    const Index count = data.input_shape().size();
    const Value* const bad = find_not_finite(values, count);
    if (bad == values + count) return;
    throw NumericalError("data set " + data.name() + ": sample " + std::to_string(sample) + ", feature " +
                         std::to_string(bad - values) + " is " + (std::isnan(*bad) ? "NaN" : "infinite") +
                         ": " + cure);
}

template <class Value>
void check_input(const Dataset& data, Index sample, const Value* values) {
    check_finite(data, sample, values);
    if (data.precision() != InputPrecision::byte) return;
    for (Index i = 0; i < data.input_shape().size(); ++i)
        if (values[i] < 0 || values[i] > 255 || values[i] != std::floor(values[i]))
            throw UsageError("data set " + data.name() + ": sample " + std::to_string(sample) + ", feature " +
                             std::to_string(i) + " is " + shortest_text(static_cast<double>(values[i])) +
                             ", where its precision says bytes: 0 to 255");
}

void check_target(const Dataset& data, Index sample, const double* values) {
    const Target target = data.target();
    for (Index i = 0; i < target.size(); ++i) {
        const bool fits = target.classes > 0 ? values[i] >= 0 && values[i] < target.classes &&
                                                   values[i] == std::floor(values[i])
                                             : std::isfinite(values[i]);
        if (!fits)
            throw UsageError("data set " + data.name() + ": the target of sample " + std::to_string(sample) +
                             " is " + shortest_text(values[i]) +
                             (target.classes > 0
                                  ? ", where classes run from 0 to " + std::to_string(target.classes - 1)
                                  : " at value " + std::to_string(i) + ": " + cure));
    }
}

void check_labels(const Dataset& data, Index sample, const double* values) {
    for (Index i = 0; i < data.target().values; ++i)
        if (!(values[i] >= 0 && values[i] <= 1))
            throw UsageError("data set " + data.name() + ": the target of sample " + std::to_string(sample) +
                             " is " + shortest_text(values[i]) + " at value " + std::to_string(i) +
                             ", where labels are 0 (off), 1 (on) or between; for other values choose a loss "
                             "such as mse");
}

template <class Scalar>
SampleReader<Scalar>::SampleReader(const Dataset& data, const InputTransform& transform,
                                   const Augmentation* augmentation)
    : data_(data),
      transform_(transform),
      augmentation_(augmentation != nullptr && augmentation->enabled() ? augmentation : nullptr),
      shape_(data.input_shape()),
      target_(data.target()),
      as_float_(std::is_same_v<Scalar, float> && data.precision() != InputPrecision::double_values),
      may_be_infinite_(data.precision() != InputPrecision::byte) {
    check_outline(data);
    if (transform.shape() != shape_)
        throw UsageError("the samples of data set " + data.name() + " are " + shape_.to_string() +
                         ", but the input transform takes " + transform.shape().to_string());
    if (transform.kind() == InputKind::unit && data.precision() != InputPrecision::byte)
        throw UsageError("input unit is for bytes, 0 to 255, which become 0 to 1; the values of data set " +
                         data.name() + " are no bytes: choose standardized or raw, or give bytes");
    const auto size = static_cast<std::size_t>(shape_.size());
    if (as_float_) {
        float_raw_.resize(size);
        if (augmentation_ != nullptr) float_varied_.resize(size);
    } else {
        double_raw_.resize(size);
        if (augmentation_ != nullptr) double_varied_.resize(size);
    }
}

template <class Scalar>
template <class Value>
void SampleReader<Scalar>::read_as(Index sample, AlignedVector<Value>& raw, AlignedVector<Value>& varied,
                                   Scalar* out) {
    const Value* values = raw.data();
    data_.read_input(sample, raw.data());
    if (may_be_infinite_) check_finite(data_, sample, values);
    if (augmentation_ != nullptr) {
        augmentation_->apply(sample, shape_, values, varied.data());
        values = varied.data();
    }
    transform_.apply(values, out);
    if constexpr (std::is_same_v<Value, double> && std::is_same_v<Scalar, float>)
        check_fits(sample, values, out);
}

template <class Scalar>
void SampleReader<Scalar>::check_fits(Index sample, const double* values, const Scalar* out) const {
    const Scalar* const bad = find_not_finite(out, shape_.size());
    if (bad != out + shape_.size())
        throw NumericalError("data set " + data_.name() + ": sample " + std::to_string(sample) +
                             ", feature " + std::to_string(bad - out) + " is " +
                             shortest_text(values[bad - out]) +
                             ", which float cannot hold: scale the data, or standardize them");
}

template <class Scalar>
void SampleReader<Scalar>::read_input(Index sample, Scalar* out) {
    if constexpr (std::is_same_v<Scalar, float>) {
        if (as_float_) return read_as(sample, float_raw_, float_varied_, out);
    }
    read_as(sample, double_raw_, double_varied_, out);
}

template <class Scalar>
void SampleReader<Scalar>::read_target(Index sample, double* out) const {
    if (target_.size() == 0) return;
    data_.read_target(sample, out);
    check_target(data_, sample, out);
}

template LOCKSTEP_EXPORT void check_finite(const Dataset&, Index, const float*);
template LOCKSTEP_EXPORT void check_finite(const Dataset&, Index, const double*);
template LOCKSTEP_EXPORT void check_input(const Dataset&, Index, const float*);
template LOCKSTEP_EXPORT void check_input(const Dataset&, Index, const double*);
template class SampleReader<float>;
template class SampleReader<double>;

}  // namespace lockstep
