#include <lockstep/nn/conv2d.hpp>

#include "../simd/elementwise.hpp"
#include "absorb.hpp"
#include "correlation.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/base/random.hpp>

#include <algorithm>
#include <cmath>

namespace lockstep {
namespace {

/// Throws where nothing would come out.
Shape output_shape(const Shape& input, const Conv2dOptions& options) {
    if (options.outputs < 1 || options.kernel_height < 1 || options.kernel_width < 1 || options.stride < 1 ||
        options.pad < 0)
        throw UsageError("conv: channels, kernel and stride must be at least 1 and the pad at least 0");
    const Index height = input.height + 2 * options.pad - options.kernel_height;
    const Index width = input.width + 2 * options.pad - options.kernel_width;
    if (height < 0 || width < 0)
        throw UsageError("conv: the kernel is larger than the image of " + input.to_string() +
                         " and its pad");
    return {height / options.stride + 1, width / options.stride + 1, options.outputs};
}

Index most_taps(Index kernel, Index stride) {
    return (kernel + stride - 1) / stride;
}

/// Copies rows of `row` values, in steps of their own on either side.
template <class Scalar>
void copy_rows(Index rows, Index row, const Scalar* from, Index from_step, Scalar* to, Index to_step) {
    for (Index i = 0; i < rows; ++i) std::copy_n(from + i * from_step, row, to + i * to_step);
}

}  // namespace

template <class Scalar>
Conv2d<Scalar>::Conv2d(Shape input, Conv2dOptions options)
    : Layer<Scalar>(input, lockstep::output_shape(input, options)),
      options_(options),
      convolutions_(lockstep::convolutions<Scalar>()),
      row_phases_(phases(input.height, options.kernel_height, options.stride, options.pad)),
      column_phases_(phases(input.width, options.kernel_width, options.stride, options.pad)) {}

template <class Scalar>
void Conv2d<Scalar>::declare(ParameterLayout& layout, const std::string& prefix) {
    const Index outputs = options_.outputs;
    weight_offset_ = layout.add_parameter(
        prefix + "weight",
        {outputs, this->input_shape().channels, options_.kernel_height, options_.kernel_width},
        ParameterKind::weight, {2, 3, 1, 0});
    if (options_.bias) bias_offset_ = layout.add_parameter(prefix + "bias", {outputs}, ParameterKind::bias);
}

template <class Scalar>
void Conv2d<Scalar>::bind(ParameterStore<Scalar>& store) {
    weight_ = store.parameters.data() + weight_offset_;
    bias_ = options_.bias ? store.parameters.data() + bias_offset_ : nullptr;
}

template <class Scalar>
void Conv2d<Scalar>::initialize(std::uint64_t seed) {
    // He, Zhang, Ren, Sun: "Delving deep into rectifiers", 2015, arXiv 1502.01852.
    RandomStream random(seed, RandomPurpose::initialization, static_cast<std::uint64_t>(weight_offset_));
    const double deviation = std::sqrt(2.0 / static_cast<double>(weight_values()));
    std::generate_n(weight_, weight_values() * options_.outputs,
                    [&] { return static_cast<Scalar>(deviation * random.normal()); });
    if (bias_ != nullptr) std::fill_n(bias_, options_.outputs, Scalar(0));
}

template <class Scalar>
void Conv2d<Scalar>::reserve(int, Index) {
    prepare(forward_space_);
    const Shape& x = this->input_shape();
    const Shape& z = this->output_shape();
    BackwardSpace& space = backward_space_;
    const Index top = most_taps(options_.kernel_height, options_.stride) - 1;
    const Index left = most_taps(options_.kernel_width, options_.stride) - 1;
    const auto extent = [this](Index input, Index output, Index margin) {
        const Index last_window = (input - 1 + options_.pad) / options_.stride;
        return margin + std::max(output, last_window + 1);
    };
    space.output_gradient.height = extent(x.height, z.height, top);
    space.output_gradient.width = extent(x.width, z.width, left);
    space.output_gradient.values.assign(
        static_cast<std::size_t>(space.output_gradient.height * space.output_gradient.width * z.channels),
        Scalar(0));
    const Index outputs = convolutions_.padded(z.channels), inputs = convolutions_.padded(x.channels);
    if (outputs != z.channels)
        space.aligned_output_gradient.assign(static_cast<std::size_t>(z.pixels() * outputs), Scalar(0));
    space.turned_weight.assign(static_cast<std::size_t>((top + 1) * (left + 1) * z.channels * inputs),
                               Scalar(0));
    space.zeros.assign(static_cast<std::size_t>(inputs), Scalar(0));
    space.weight_sums.assign(static_cast<std::size_t>(weight_values() * outputs), Scalar(0));
}

template <class Scalar>
void Conv2d<Scalar>::prepare(ForwardSpace& space) const {
    const Shape& x = this->input_shape();
    const Index outputs = convolutions_.padded(options_.outputs);
    space.image.height = x.height + 2 * options_.pad;
    space.image.width = x.width + 2 * options_.pad;
    if (options_.pad > 0)
        space.image.values.assign(
            static_cast<std::size_t>(space.image.height * space.image.width * x.channels), Scalar(0));
    space.bias.assign(static_cast<std::size_t>(outputs), Scalar(0));
    if (outputs != options_.outputs)
        space.weight.assign(static_cast<std::size_t>(weight_values() * outputs), Scalar(0));
}

template <class Scalar>
const Scalar* Conv2d<Scalar>::padded_image(const Scalar* x, Padded& space) const {
    if (options_.pad == 0) return x;
    const Shape& shape = this->input_shape();
    const Index row = space.width * shape.channels;
    copy_rows(shape.height, shape.width * shape.channels, x, shape.width * shape.channels,
              space.values.data() + options_.pad * (row + shape.channels), row);
    return space.values.data();
}

template <class Scalar>
void Conv2d<Scalar>::forward(const StepContext&, Inputs x, Outputs z) {
    for (std::size_t r = 0; r < x.size(); ++r) convolve(x[r], z[r], forward_space_);
}

template <class Scalar>
void Conv2d<Scalar>::infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const {
    ForwardSpace space;
    prepare(space);
    convolve(x, z, space);
}

template <class Scalar>
bool Conv2d<Scalar>::absorb(const ChannelMap& map, Side side) {
    if (side == Side::input && options_.pad > 0) return false;
    const auto in = static_cast<std::size_t>(this->input_shape().channels);
    const auto out = static_cast<std::size_t>(options_.outputs);
    if (bias_ == nullptr) {
        absorbed_bias_.assign(out, Scalar(0));
        bias_ = absorbed_bias_.data();
    }
    return absorb_map<Scalar>(map, side, {weight_, static_cast<std::size_t>(weight_values()) * out},
                              {bias_, out}, [=](std::size_t k) {
                                  return WeightPlace{k / out % in, k % out};
                              });
}

namespace {

/// The windows of an image whose rows have `width` pixels.
Windows image_windows(const Shape& image, Index width, const Shape& output, const Conv2dOptions& options,
                      Index output_channels) {
    return {.rows = output.height,
            .columns = output.width,
            .runs = options.kernel_height,
            .run = options.kernel_width * image.channels,
            .run_pitch = width * image.channels,
            .input_row_step = options.stride * width * image.channels,
            .input_column_step = options.stride * image.channels,
            .output_row_step = output.width * output_channels,
            .output_column_step = output_channels};
}

}  // namespace

template <class Scalar>
void Conv2d<Scalar>::convolve(const Tensor<const Scalar>& x, const Tensor<Scalar>& z,
                              ForwardSpace& space) const {
    const Index outputs = options_.outputs, padded_outputs = convolutions_.padded(outputs);
    const Scalar* weight = weight_;
    if (padded_outputs != outputs) {
        copy_rows(weight_values(), outputs, weight_, outputs, space.weight.data(), padded_outputs);
        weight = space.weight.data();
    }
    if (bias_ != nullptr) std::copy_n(bias_, outputs, space.bias.data());
    const Windows windows =
        image_windows(this->input_shape(), space.image.width, this->output_shape(), options_, outputs);
    for (Index sample = 0; sample < x.batch; ++sample)
        convolutions_.correlate(windows, padded_image(x.data + sample * x.shape.size(), space.image), weight,
                                space.bias.data(), outputs, z.data + sample * z.shape.size());
}

template <class Scalar>
void Conv2d<Scalar>::backward(const BackwardPass& pass) {
    const Index outputs = options_.outputs, padded_outputs = convolutions_.padded(outputs);
    for (int r = 0; r < pass.gradients.hosted(); ++r) {
        const auto i = static_cast<std::size_t>(r);
        add_weight_gradients(pass.x[i], pass.dz[i]);
        copy_rows(weight_values(), outputs, backward_space_.weight_sums.data(), padded_outputs,
                  pass.gradients.leaf(r, weight_offset_), outputs);
        if (options_.bias) write_bias_gradient(pass.dz[i], pass.gradients.leaf(r, bias_offset_));
        const Index end = options_.bias ? bias_offset_ + outputs : weight_offset_ + weight_values() * outputs;
        pass.gradients.push(r, weight_offset_, end);
    }
    this->report_ready(pass);
    for (std::size_t r = 0; r < pass.dx.size(); ++r)
        if (pass.dx[r].data != nullptr) write_input_gradient(pass.dz[r], pass.dx[r]);
}

template <class Scalar>
void Conv2d<Scalar>::add_weight_gradients(const Tensor<const Scalar>& x, const Tensor<const Scalar>& dz) {
    const Index outputs = options_.outputs, padded_outputs = convolutions_.padded(outputs);
    BackwardSpace& space = backward_space_;
    std::ranges::fill(space.weight_sums, Scalar(0));
    const Windows windows = image_windows(this->input_shape(), forward_space_.image.width,
                                          this->output_shape(), options_, padded_outputs);
    for (Index sample = 0; sample < x.batch; ++sample) {
        const Scalar* gradient = dz.data + sample * dz.shape.size();
        if (padded_outputs != outputs) {
            copy_rows(dz.shape.pixels(), outputs, gradient, outputs, space.aligned_output_gradient.data(),
                      padded_outputs);
            gradient = space.aligned_output_gradient.data();
        }
        convolutions_.add_weight_gradient(
            windows, padded_image(x.data + sample * x.shape.size(), forward_space_.image), gradient, outputs,
            space.weight_sums.data());
    }
}

template <class Scalar>
void Conv2d<Scalar>::write_bias_gradient(const Tensor<const Scalar>& dz, Scalar* gradient) const {
    elementwise<Scalar>().sum_rows(dz.data, gradient, dz.columns(), options_.outputs);
}

/// Row q = first + pad of the padded image meets kernel row k in output row (q − k)/stride, where that
/// divides. So rows at equal remainders q mod stride have the same kernel rows, and their outputs are
/// neighbours.
template <class Scalar>
auto Conv2d<Scalar>::phases(Index input, Index kernel, Index stride, Index pad) -> std::vector<Phase> {
    std::vector<Phase> result;
    const Index margin = most_taps(kernel, stride) - 1;
    for (Index first = 0; first < std::min(stride, input); ++first) {
        const Index remainder = (first + pad) % stride;
        Phase phase;
        phase.first = first;
        phase.count = (input - first + stride - 1) / stride;
        phase.taps = remainder < kernel ? (kernel - remainder + stride - 1) / stride : 0;
        phase.last_tap = remainder + stride * (phase.taps - 1);
        phase.first_window = (first + pad) / stride - (phase.taps - 1) + margin;
        result.push_back(phase);
    }
    return result;
}

/// For the windows of one pair of phases: [row][column][out][in], in whole vectors of input channels.
template <class Scalar>
void Conv2d<Scalar>::turn_weights(const Phase& rows, const Phase& columns) {
    const Index inputs = this->input_shape().channels, outputs = options_.outputs;
    const Index padded_inputs = convolutions_.padded(inputs);
    Scalar* turned = backward_space_.turned_weight.data();
    for (Index i = 0; i < rows.taps; ++i)
        for (Index j = 0; j < columns.taps; ++j) {
            const Index row = rows.last_tap - options_.stride * i,
                        column = columns.last_tap - options_.stride * j;
            const Scalar* const tap = weight_ + (row * options_.kernel_width + column) * inputs * outputs;
            for (Index out = 0; out < outputs; ++out, turned += padded_inputs)
                for (Index in = 0; in < inputs; ++in) turned[in] = tap[in * outputs + out];
        }
}

template <class Scalar>
void Conv2d<Scalar>::write_input_gradient(const Tensor<const Scalar>& dz, const Tensor<Scalar>& dx) {
    BackwardSpace& space = backward_space_;
    const Index outputs = options_.outputs, stride = options_.stride;
    const Index row = space.output_gradient.width * outputs;  // of the padded dz
    const Index top = most_taps(options_.kernel_height, stride) - 1;
    const Index left = most_taps(options_.kernel_width, stride) - 1;
    const Shape& x = dx.shape;
    for (const Phase& rows : row_phases_)
        for (const Phase& columns : column_phases_) {
            turn_weights(rows, columns);
            const Windows windows{.rows = rows.count,
                                  .columns = columns.count,
                                  .runs = columns.taps > 0 ? rows.taps : 0,
                                  .run = columns.taps * outputs,
                                  .run_pitch = row,
                                  .input_row_step = row,
                                  .input_column_step = outputs,
                                  .output_row_step = stride * x.width * x.channels,
                                  .output_column_step = stride * x.channels};
            for (Index sample = 0; sample < dz.batch; ++sample) {
                copy_rows(dz.shape.height, dz.shape.width * outputs, dz.data + sample * dz.shape.size(),
                          dz.shape.width * outputs,
                          space.output_gradient.values.data() + top * row + left * outputs, row);
                convolutions_.correlate(
                    windows,
                    space.output_gradient.values.data() + rows.first_window * row +
                        columns.first_window * outputs,
                    space.turned_weight.data(), space.zeros.data(), x.channels,
                    dx.data + sample * x.size() + (rows.first * x.width + columns.first) * x.channels);
            }
        }
}

template class Conv2d<float>;
template class Conv2d<double>;

}  // namespace lockstep
