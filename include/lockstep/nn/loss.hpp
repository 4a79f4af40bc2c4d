/// How far the outputs of a network are from what they should be: the losses of the library, and one's own.
///
/// With outputs a, target t and m values a sample; the loss of a batch is the mean over its samples, as in PyTorch:
///
///     cross-entropy   −Σₖ qₖ log softmax(a)ₖ,  q = (1 − s)·onehot(t) + s/n   (label smoothing s, n classes)
///     mse             (1/m) Σ (a − t)²
///     mae             (1/m) Σ |a − t|
///     huber δ         (1/m) Σ ½(a − t)² where |a − t| ≤ δ, else δ(|a − t| − δ/2)
///     bce             (1/m) Σ max(a, 0) − a·t + log(1 + exp(−|a|)):  t is a probability for each of m labels
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/base/target.hpp>
#include <lockstep/nn/tensor.hpp>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

/// The loss of one sample, in double whatever the network computes in. To be derived from for a loss of one's own that
/// has options; see also own_loss.
class LOCKSTEP_EXPORT LossFunction {
  public:
    virtual ~LossFunction() = default;

    /// Name and options, as parse_loss takes them: "huber 0.5". Ranks compare it, and checkpoints store it.
    virtual std::string text() const = 0;
    /// Throws UsageError, saying what would fit, where the loss does not fit the target or the number of outputs.
    virtual void check(const Target& target, Index outputs) const = 0;
    /// Whether the target values are labels, each on or off: then they are scored as such.
    virtual bool labels() const { return false; }
    /// The loss of a sample. Writes its derivative by each output to zeros, unless `gradient` is empty. `target` holds
    /// Target::size() numbers.
    virtual double value(std::span<const double> outputs, std::span<const double> target,
                         std::span<double> gradient) const = 0;
};

using Loss = std::shared_ptr<const LossFunction>;

/// Throw UsageError where an option makes no sense: smoothing must be in [0, 1), delta positive.
LOCKSTEP_EXPORT Loss cross_entropy(double label_smoothing = 0);
LOCKSTEP_EXPORT Loss mean_squared_error();
LOCKSTEP_EXPORT Loss mean_absolute_error();
LOCKSTEP_EXPORT Loss huber(double delta = 1);
LOCKSTEP_EXPORT Loss binary_cross_entropy();

/// As LossFunction::value.
using LossCallable = std::function<double(std::span<const double> outputs, std::span<const double> target,
                                          std::span<double> gradient)>;
/// A loss of one's own, under a name of one's own; takes any target and any number of outputs that can be scored: see
/// score.hpp. The name is all that ranks and checkpoints compare. Throws UsageError where it is empty or that of
/// another loss.
LOCKSTEP_EXPORT Loss own_loss(std::string name, LossCallable value);

/// From "cross-entropy", "cross-entropy smoothing 0.1", "mse", "mae", "huber", "huber 0.5" or "bce". Throws UsageError
/// listing these for anything else.
LOCKSTEP_EXPORT Loss parse_loss(std::string_view text);
/// What is taken where no loss is given: cross-entropy for classes, mse for values.
LOCKSTEP_EXPORT Loss default_loss(const Target& target);

/// From logits to the probabilities of classes, or of labels, of one sample, in place.
LOCKSTEP_EXPORT void softmax(std::span<float> outputs);
LOCKSTEP_EXPORT void sigmoid(std::span<float> outputs);

/// Applies a loss to batches. Allocates on construction only. Instantiated for float and double.
template <class Scalar>
class LOCKSTEP_EXPORT BatchLoss {
  public:
    BatchLoss(Loss loss, const Target& target, Index outputs);

    /// The summed loss of the samples; `targets` holds target.size() numbers for each.
    double sum(const Tensor<const Scalar>& outputs, std::span<const double> targets);
    /// The same, and writes the gradient of (summed loss ÷ divisor). The divisor is the size of the global batch, so
    /// that gradients over replicas are sums.
    double sum(const Tensor<const Scalar>& outputs, std::span<const double> targets, Index divisor,
               const Tensor<Scalar>& gradient);

  private:
    double value(const Scalar* outputs, std::span<const double> targets, Index sample,
                 std::span<double> gradient);

    Loss loss_;
    std::size_t target_size_;
    std::vector<double> outputs_, gradient_;
};

/// Where the largest of a sample's outputs is; the first of equals. For float and double.
template <class Scalar>
LOCKSTEP_EXPORT Index predicted_class(std::span<const Scalar> outputs);

extern template class BatchLoss<float>;
extern template class BatchLoss<double>;

}  // namespace lockstep
