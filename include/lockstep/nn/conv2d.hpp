/// Convolution of images:
///
///     z(y, x, o) = b[o] + Σ over i, j, c of x(y·stride + i − pad, x·stride + j − pad, c)·W[i][j][c][o]
///
/// Backward: dW and db are sums over pixels of the same products; dx is a convolution of dz with W turned
/// around, one for each remainder of the position divided by the stride.
#pragma once

#include <lockstep/base/aligned_vector.hpp>
#include <lockstep/nn/layer.hpp>

namespace lockstep {

struct Conv2dOptions {
    Index outputs = 1;  ///< channels
    Index kernel_height = 3, kernel_width = 3;
    Index stride = 1;
    Index pad = 0;  ///< zeros on each side
    bool bias = true;
};

template <class Scalar>
struct Convolutions;

/// W lies in memory as [height][width][in][out], for the inner loops; in files it is PyTorch's
/// [out][in][height][width]. He initialization: W ~ N(0, 2/(height·width·in)), b = 0.
template <class Scalar>
class LOCKSTEP_EXPORT Conv2d final : public Layer<Scalar> {
  public:
    using typename Layer<Scalar>::Inputs;
    using typename Layer<Scalar>::Outputs;
    using typename Layer<Scalar>::BackwardPass;
    using typename Layer<Scalar>::Side;

    /// Throws UsageError where the kernel does not fit into the padded image.
    Conv2d(Shape input, Conv2dOptions options);

    std::string kind() const override { return "conv"; }
    void declare(ParameterLayout& layout, const std::string& prefix) override;
    void bind(ParameterStore<Scalar>& store) override;
    void initialize(std::uint64_t seed) override;
    void reserve(int replicas, Index batch) override;
    void forward(const StepContext& context, Inputs x, Outputs z) override;
    void backward(const BackwardPass& pass) override;
    void infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const override;
    /// No map of the input if there is a pad: its zeros would have to be the map's shift.
    bool absorb(const ChannelMap& map, Side side) override;

  private:
    /// One image within a margin of zeros.
    struct Padded {
        Index height = 0, width = 0;
        AlignedVector<Scalar> values;
    };
    /// The rows (or columns) of dx at equal remainders of their position divided by the stride.
    struct Phase {
        Index first = 0;         ///< the first such row
        Index count = 0;         ///< how many there are
        Index first_window = 0;  ///< where the window of the first one begins, in the padded dz
        Index taps = 0;          ///< the window's extent; its entries are kernel rows of falling index:
        Index last_tap = 0;      ///< entry t belongs to kernel row last_tap − stride·t
    };
    /// What forward works in, beside its result.
    struct ForwardSpace {
        Padded image;
        AlignedVector<Scalar> weight, bias;  // in whole vectors of channels
    };
    struct BackwardSpace {
        Padded output_gradient;                         // for dx
        AlignedVector<Scalar> aligned_output_gradient;  // for dW, in whole vectors of channels
        AlignedVector<Scalar> turned_weight, zeros, weight_sums;
    };

    Index weight_values() const {
        return options_.kernel_height * options_.kernel_width * this->input_shape().channels;
    }
    void prepare(ForwardSpace& space) const;
    void convolve(const Tensor<const Scalar>& x, const Tensor<Scalar>& z, ForwardSpace& space) const;
    /// The image with its margin; where there is none, the image itself.
    const Scalar* padded_image(const Scalar* x, Padded& space) const;
    void add_weight_gradients(const Tensor<const Scalar>& x, const Tensor<const Scalar>& dz);
    void write_bias_gradient(const Tensor<const Scalar>& dz, Scalar* gradient) const;
    void write_input_gradient(const Tensor<const Scalar>& dz, const Tensor<Scalar>& dx);
    void turn_weights(const Phase& rows, const Phase& columns);
    static std::vector<Phase> phases(Index input, Index kernel, Index stride, Index pad);

    Conv2dOptions options_;
    const Convolutions<Scalar>& convolutions_;  // one set for the layer's life: its spaces are as wide
    std::vector<Phase> row_phases_, column_phases_;
    Index weight_offset_ = 0, bias_offset_ = 0;
    Scalar* weight_ = nullptr;             // [height][width][in][out]
    Scalar* bias_ = nullptr;               // [out], or null
    AlignedVector<Scalar> absorbed_bias_;  // of a layer that had none
    ForwardSpace forward_space_;
    BackwardSpace backward_space_;
};

extern template class Conv2d<float>;
extern template class Conv2d<double>;

}  // namespace lockstep
