/// Softmax cross-entropy: loss = log Σⱼ exp(aⱼ) − a_label, d loss/da = softmax(a) − onehot(label).
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/nn/tensor.hpp>

#include <cstdint>
#include <span>

namespace lockstep {

/// Sums over the samples of one batch.
struct LossSums {
    double loss = 0;
    double correct = 0;
};

/// The summed loss of the batch's logits (classes × batch), and how many samples have their label's logit on
/// top (the first of equals counts). Throws Error on a label that is no class.
template <class Scalar>
LOCKSTEP_EXPORT LossSums cross_entropy(const Tensor<const Scalar>& logits,
                                       std::span<const std::uint8_t> labels);

/// The same, and writes the gradient of (summed loss ÷ divisor). The divisor is the size of the global batch,
/// so that gradients over replicas are sums.
template <class Scalar>
LOCKSTEP_EXPORT LossSums cross_entropy(const Tensor<const Scalar>& logits,
                                       std::span<const std::uint8_t> labels, Index divisor,
                                       const Tensor<Scalar>& gradient);

/// Where the largest logit of a sample is; the first of equals.
template <class Scalar>
LOCKSTEP_EXPORT int predicted_class(const Tensor<const Scalar>& logits, Index sample);

}  // namespace lockstep
