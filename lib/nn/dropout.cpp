#include <lockstep/nn/dropout.hpp>

#include <lockstep/base/error.hpp>
#include <lockstep/base/random.hpp>
#include <lockstep/base/settings.hpp>

#include <algorithm>

namespace lockstep {

template <class Scalar>
Dropout<Scalar>::Dropout(Shape shape, double probability, int number)
    : Layer<Scalar>(shape, shape),
      probability_(probability),
      scale_(static_cast<Scalar>(1 / (1 - probability))),
      number_(number) {
    if (!(probability >= 0 && probability < 1))
        throw UsageError("dropout: the probability must be at least 0 and less than 1, not " +
                         shortest_text(probability));
}

template <class Scalar>
void Dropout<Scalar>::reserve(int replicas, Index batch) {
    kept_.assign(static_cast<std::size_t>(replicas),
                 std::vector<std::uint8_t>(static_cast<std::size_t>(batch * this->input_shape().size())));
}

template <class Scalar>
void Dropout<Scalar>::forward(const StepContext& context, Inputs x, Outputs z) {
    const auto threshold = static_cast<std::uint32_t>(probability_ * 0x1p32);
    const Index features = this->input_shape().size();
    // No global batch has 2⁴⁰ samples, so that the streams of two layers never meet.
    const auto first_index = static_cast<std::uint64_t>(number_) << 40;
    for (std::size_t r = 0; r < x.size(); ++r)
        for (Index sample = 0; sample < x[r].batch; ++sample) {
            const auto position = static_cast<std::uint64_t>(context.first_positions[r] + sample);
            RandomStream random(context.seed, RandomPurpose::dropout, first_index + position, context.step);
            for (Index i = sample * features; i < (sample + 1) * features; ++i) {
                const bool kept = random.next_u32() >= threshold;
                kept_[r][static_cast<std::size_t>(i)] = kept;
                z[r].data[i] = kept ? x[r].data[i] * scale_ : Scalar(0);
            }
        }
}

template <class Scalar>
void Dropout<Scalar>::backward(const BackwardPass& pass) {
    for (std::size_t r = 0; r < pass.dz.size(); ++r) {
        if (pass.dx[r].data == nullptr) continue;
        for (Index i = 0; i < pass.dz[r].size(); ++i)
            pass.dx[r].data[i] =
                kept_[r][static_cast<std::size_t>(i)] ? pass.dz[r].data[i] * scale_ : Scalar(0);
    }
}

template <class Scalar>
void Dropout<Scalar>::infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const {
    if (z.data != x.data) std::copy_n(x.data, x.size(), z.data);
}

template class Dropout<float>;
template class Dropout<double>;

}  // namespace lockstep
