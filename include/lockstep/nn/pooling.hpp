/// Pooling: the largest value, or the mean, of each channel in a window; or the mean over the whole image.
#pragma once

#include <lockstep/nn/layer.hpp>

#include <cstdint>
#include <vector>

namespace lockstep {

struct PoolOptions {
    Index kernel_height = 2, kernel_width = 2;
    Index stride = 2;
    Index pad = 0;  ///< on each side; at most half the kernel
};

/// Windows lie as in torch.nn.MaxPool2d and AvgPool2d: rows and columns that fill no window are left out.
/// Throws UsageError where no window fits or the pad is more than half a window.
LOCKSTEP_EXPORT Shape pooled_shape(const Shape& input, const PoolOptions& options);

/// The largest value; the first of equals takes the gradient. What lies outside the image never wins.
template <class Scalar>
class LOCKSTEP_EXPORT MaxPool final : public Layer<Scalar> {
  public:
    using typename Layer<Scalar>::Inputs;
    using typename Layer<Scalar>::Outputs;
    using typename Layer<Scalar>::BackwardPass;

    MaxPool(Shape input, PoolOptions options)
        : Layer<Scalar>(input, pooled_shape(input, options)), options_(options) {}

    std::string kind() const override { return "maxpool"; }
    void reserve(int replicas, Index batch) override;
    void forward(const StepContext& context, Inputs x, Outputs z) override;
    void backward(const BackwardPass& pass) override;
    void infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const override;

  private:
    PoolOptions options_;
    // By hosted replica and output value: the number of the winner in its window, row by row.
    std::vector<std::vector<std::uint16_t>> winners_;
};

/// The mean over the window; what lies outside the image counts as zeros (count_include_pad, PyTorch's
/// default).
template <class Scalar>
class LOCKSTEP_EXPORT AveragePool final : public Layer<Scalar> {
  public:
    using typename Layer<Scalar>::Inputs;
    using typename Layer<Scalar>::Outputs;
    using typename Layer<Scalar>::BackwardPass;

    AveragePool(Shape input, PoolOptions options)
        : Layer<Scalar>(input, pooled_shape(input, options)), options_(options) {}

    std::string kind() const override { return "avgpool"; }
    void backward(const BackwardPass& pass) override;
    void infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const override;

  private:
    PoolOptions options_;
};

/// The mean over the image: height × width × channels → channels.
template <class Scalar>
class LOCKSTEP_EXPORT GlobalAveragePool final : public Layer<Scalar> {
  public:
    using typename Layer<Scalar>::Inputs;
    using typename Layer<Scalar>::Outputs;
    using typename Layer<Scalar>::BackwardPass;

    explicit GlobalAveragePool(Shape input) : Layer<Scalar>(input, Shape::dense(input.channels)) {}

    std::string kind() const override { return "global-average-pool"; }
    void backward(const BackwardPass& pass) override;
    void infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const override;
};

extern template class MaxPool<float>;
extern template class MaxPool<double>;
extern template class AveragePool<float>;
extern template class AveragePool<double>;
extern template class GlobalAveragePool<float>;
extern template class GlobalAveragePool<double>;

}  // namespace lockstep
