#include <lockstep/nn/linear.hpp>

#include "../simd/elementwise.hpp"
#include "absorb.hpp"
#include "dense_products.hpp"

#include <lockstep/base/random.hpp>

#include <algorithm>
#include <cmath>

namespace lockstep {

template <class Scalar>
Linear<Scalar>::Linear(Shape input, Index outputs) : Layer<Scalar>(input, Shape::dense(outputs)) {}

template <class Scalar>
void Linear<Scalar>::declare(ParameterLayout& layout, const std::string& prefix) {
    weight_offset_ = layout.add_parameter(prefix + "weight", {outputs(), inputs()}, ParameterKind::weight);
    bias_offset_ = layout.add_parameter(prefix + "bias", {outputs()}, ParameterKind::bias);
}

template <class Scalar>
void Linear<Scalar>::bind(ParameterStore<Scalar>& store) {
    weight_ = store.parameters.data() + weight_offset_;
    bias_ = store.parameters.data() + bias_offset_;
}

template <class Scalar>
void Linear<Scalar>::initialize(std::uint64_t seed) {
    // He, Zhang, Ren, Sun: "Delving deep into rectifiers", 2015, arXiv 1502.01852.
    RandomStream random(seed, RandomPurpose::initialization, static_cast<std::uint64_t>(weight_offset_));
    const double deviation = std::sqrt(2.0 / static_cast<double>(inputs()));
    std::generate_n(weight_, inputs() * outputs(),
                    [&] { return static_cast<Scalar>(deviation * random.normal()); });
    std::fill_n(bias_, outputs(), Scalar(0));
}

template <class Scalar>
void Linear<Scalar>::infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const {
    dense_products<Scalar>().output(weight_, x.data, z.data, {inputs(), outputs(), x.batch});
    elementwise<Scalar>().add_to_rows(z.data, bias_, z.batch, outputs());
}

template <class Scalar>
bool Linear<Scalar>::absorb(const ChannelMap& map, Side side) {
    if (side == Side::input && this->input_shape().pixels() != 1) return false;
    const auto in = static_cast<std::size_t>(inputs()), out = static_cast<std::size_t>(outputs());
    return absorb_map<Scalar>(map, side, {weight_, in * out}, {bias_, out}, [in](std::size_t k) {
        return WeightPlace{k % in, k / in};
    });
}

template <class Scalar>
void Linear<Scalar>::backward(const BackwardPass& pass) {
    const DenseProducts<Scalar>& products = dense_products<Scalar>();
    for (int r = 0; r < pass.gradients.hosted(); ++r) {
        const auto& x = pass.x[static_cast<std::size_t>(r)];
        const auto& dz = pass.dz[static_cast<std::size_t>(r)];
        products.weight_gradient(x.data, dz.data, pass.gradients.leaf(r, weight_offset_),
                                 {inputs(), outputs(), x.batch});
        elementwise<Scalar>().sum_rows(dz.data, pass.gradients.leaf(r, bias_offset_), dz.batch, outputs());
        pass.gradients.push(r, weight_offset_, bias_offset_ + outputs());
    }
    this->report_ready(pass);
    for (std::size_t r = 0; r < pass.dx.size(); ++r) {
        const auto& dx = pass.dx[r];
        if (dx.data != nullptr)
            products.input_gradient(weight_, pass.dz[r].data, dx.data, {inputs(), outputs(), dx.batch});
    }
}

template class Linear<float>;
template class Linear<double>;

}  // namespace lockstep
