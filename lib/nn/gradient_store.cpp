#include <lockstep/nn/gradient_store.hpp>

#include "../simd/elementwise.hpp"

#include <lockstep/base/error.hpp>

namespace lockstep {

template <class Scalar>
GradientStore<Scalar>::GradientStore(const ReplicaMap& map, int rank, Index values,
                                     const std::vector<Scalar*>& cover)
    : plan_(FoldPlan::of_leaves(map.all(), map.block(rank))), values_(values), slots_(cover) {
    if (!cover.empty() && cover.size() != static_cast<std::size_t>(plan_.remaining()))
        throw Error("gradient store: one array for each node of the rank's cover is needed");
    // What remains of the fold is in the first slots.
    while (slots_.size() < static_cast<std::size_t>(plan_.slots()))
        slots_.push_back(storage_.emplace_back(static_cast<std::size_t>(values)).data());
}

template <class Scalar>
Scalar* GradientStore<Scalar>::leaf(int i, Index offset) {
    return slots_[static_cast<std::size_t>(plan_.slot(i))] + offset;
}

template <class Scalar>
void GradientStore<Scalar>::push(int i, Index begin, Index end) {
    pushed_ += end - begin;
    plan_.push(i, [&](int left, int right) {
        Scalar* const sum = slots_[static_cast<std::size_t>(left)] + begin;
        elementwise<Scalar>().add(sum, sum, slots_[static_cast<std::size_t>(right)] + begin, end - begin);
    });
}

template <class Scalar>
std::vector<Scalar*> GradientStore<Scalar>::cover() {
    return {slots_.begin(), slots_.begin() + plan_.remaining()};
}

template class GradientStore<float>;
template class GradientStore<double>;

}  // namespace lockstep
