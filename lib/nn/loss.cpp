#include <lockstep/base/error.hpp>
#include <lockstep/nn/loss.hpp>

#include <algorithm>
#include <cmath>
#include <string>

namespace lockstep {
namespace {

/// Calls each(sample, sum of exponentials, largest logit) after adding up the sample's loss.
template <class Scalar, class Each>
LossSums for_each_sample(const Tensor<const Scalar>& logits, std::span<const std::uint8_t> labels,
                         Each each) {
    const Index classes = logits.shape.size();
    LossSums sums;
    for (Index sample = 0; sample < logits.batch; ++sample) {
        const Scalar* const row = logits.data + sample * classes;
        const Index label = labels[static_cast<std::size_t>(sample)];
        if (label >= classes)
            throw Error("label " + std::to_string(label) + " is none of the network's " +
                        std::to_string(classes) + " classes");
        // Relative to the largest logit no exponential overflows.
        const auto largest = static_cast<double>(*std::max_element(row, row + classes));
        double total = 0;
        for (Index k = 0; k < classes; ++k) total += std::exp(static_cast<double>(row[k]) - largest);
        sums.loss += std::log(total) - (static_cast<double>(row[label]) - largest);
        sums.correct += predicted_class(logits, sample) == label ? 1 : 0;
        each(sample, total, largest);
    }
    return sums;
}

}  // namespace

template <class Scalar>
int predicted_class(const Tensor<const Scalar>& logits, Index sample) {
    const Index classes = logits.shape.size();
    const Scalar* const row = logits.data + sample * classes;
    return static_cast<int>(std::max_element(row, row + classes) - row);
}

template <class Scalar>
LossSums cross_entropy(const Tensor<const Scalar>& logits, std::span<const std::uint8_t> labels) {
    return for_each_sample(logits, labels, [](Index, double, double) {});
}

template <class Scalar>
LossSums cross_entropy(const Tensor<const Scalar>& logits, std::span<const std::uint8_t> labels,
                       Index divisor, const Tensor<Scalar>& gradient) {
    const Index classes = logits.shape.size();
    const auto scale = 1 / static_cast<double>(divisor);
    return for_each_sample(logits, labels, [&](Index sample, double total, double largest) {
        const Scalar* const row = logits.data + sample * classes;
        Scalar* const out = gradient.data + sample * classes;
        const Index label = labels[static_cast<std::size_t>(sample)];
        for (Index k = 0; k < classes; ++k) {
            const double probability = std::exp(static_cast<double>(row[k]) - largest) / total;
            out[k] = static_cast<Scalar>((probability - (k == label ? 1 : 0)) * scale);
        }
    });
}

#define LOCKSTEP_INSTANTIATE(Scalar)                                                  \
    template LOCKSTEP_EXPORT int predicted_class(const Tensor<const Scalar>&, Index); \
    template LOCKSTEP_EXPORT LossSums cross_entropy(const Tensor<const Scalar>&,      \
                                                    std::span<const std::uint8_t>);   \
    template LOCKSTEP_EXPORT LossSums cross_entropy(                                  \
        const Tensor<const Scalar>&, std::span<const std::uint8_t>, Index, const Tensor<Scalar>&)

LOCKSTEP_INSTANTIATE(float);
LOCKSTEP_INSTANTIATE(double);
#undef LOCKSTEP_INSTANTIATE

}  // namespace lockstep
