#include <lockstep/nn/loss.hpp>

#include <lockstep/base/error.hpp>
#include <lockstep/base/settings.hpp>

#include <algorithm>
#include <cmath>
#include <utility>

namespace lockstep {

template <class Scalar>
BatchLoss<Scalar>::BatchLoss(Loss loss, const Target& target, Index outputs)
    : loss_(std::move(loss)),
      target_size_(static_cast<std::size_t>(target.size())),
      outputs_(static_cast<std::size_t>(outputs)),
      gradient_(outputs_.size()) {}

template <class Scalar>
double BatchLoss<Scalar>::value(const Scalar* outputs, std::span<const double> targets, Index sample,
                                std::span<double> gradient) {
    std::copy_n(outputs + sample * static_cast<Index>(outputs_.size()), outputs_.size(), outputs_.begin());
    return loss_->value(
        outputs_, targets.subspan(static_cast<std::size_t>(sample) * target_size_, target_size_), gradient);
}

template <class Scalar>
double BatchLoss<Scalar>::sum(const Tensor<const Scalar>& outputs, std::span<const double> targets) {
    double sum = 0;
    for (Index sample = 0; sample < outputs.batch; ++sample) sum += value(outputs.data, targets, sample, {});
    return sum;
}

template <class Scalar>
double BatchLoss<Scalar>::sum(const Tensor<const Scalar>& outputs, std::span<const double> targets,
                              Index divisor, const Tensor<Scalar>& gradient) {
    const double scale = 1 / static_cast<double>(divisor);
    double sum = 0;
    Scalar* out = gradient.data;
    for (Index sample = 0; sample < outputs.batch; ++sample) {
        std::ranges::fill(gradient_, 0.0);  // for a loss that writes only some
        const double loss = value(outputs.data, targets, sample, gradient_);
        sum += loss;
        double zero = 0;  // or NaN
        for (const double derivative : gradient_) {
            zero += 0 * derivative;
            *out++ = static_cast<Scalar>(derivative * scale);
        }
        if (zero != 0 && std::isfinite(loss))
            throw NumericalError("loss " + loss_->text() + " is " + shortest_text(loss) +
                                 " for a sample, but a derivative that it writes is not finite");
    }
    return sum;
}

template <class Scalar>
Index predicted_class(std::span<const Scalar> outputs) {
    return std::ranges::max_element(outputs) - outputs.begin();
}

template LOCKSTEP_EXPORT Index predicted_class(std::span<const float>);
template LOCKSTEP_EXPORT Index predicted_class(std::span<const double>);
template class BatchLoss<float>;
template class BatchLoss<double>;

}  // namespace lockstep
