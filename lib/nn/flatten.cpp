#include <lockstep/nn/flatten.hpp>

#include <algorithm>

namespace lockstep {
namespace {

/// to[column][row] = from[row][column], in tiles whose rows stay in the nearest cache on either side.
template <class Scalar>
void transpose(const Scalar* from, Scalar* to, Index rows, Index columns) {
    constexpr Index side = 16;
    for (Index top = 0; top < rows; top += side)
        for (Index left = 0; left < columns; left += side)
            for (Index column = left; column < std::min(left + side, columns); ++column)
                for (Index row = top; row < std::min(top + side, rows); ++row)
                    to[column * rows + row] = from[row * columns + column];
}

}  // namespace

template <class Scalar>
void Flatten<Scalar>::infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const {
    if (x.data == z.data) return;
    const Index channels = this->input_shape().channels, pixels = this->input_shape().pixels();
    for (Index sample = 0; sample < x.batch; ++sample)
        transpose(x.data + sample * channels * pixels, z.data + sample * channels * pixels, pixels, channels);
}

template <class Scalar>
void Flatten<Scalar>::backward(const BackwardPass& pass) {
    const Index channels = this->input_shape().channels, pixels = this->input_shape().pixels();
    for (std::size_t r = 0; r < pass.dz.size(); ++r) {
        const auto& dz = pass.dz[r];
        const auto& dx = pass.dx[r];
        if (dx.data == nullptr || dx.data == dz.data) continue;
        for (Index sample = 0; sample < dz.batch; ++sample)
            transpose(dz.data + sample * channels * pixels, dx.data + sample * channels * pixels, channels,
                      pixels);
    }
}

template class Flatten<float>;
template class Flatten<double>;

}  // namespace lockstep
