#include <lockstep/nn/gradient_store.hpp>

namespace lockstep {

template <class Scalar>
GradientStore<Scalar>::GradientStore(const ReplicaMap& map, int rank, Index values)
    : plan_(FoldPlan::of_leaves(map.all(), map.block(rank))), values_(values) {
    slots_.assign(static_cast<std::size_t>(plan_.slots()),
                  AlignedVector<Scalar>(static_cast<std::size_t>(values)));
}

template <class Scalar>
Scalar* GradientStore<Scalar>::leaf(int i, Index offset) {
    return slots_[static_cast<std::size_t>(plan_.slot(i))].data() + offset;
}

template <class Scalar>
void GradientStore<Scalar>::push(int i, Index begin, Index end) {
    auto top = static_cast<std::size_t>(plan_.slot(i));
    for (int merges = plan_.merges_after(i); merges > 0; --merges, --top) {
        Scalar* const left = slots_[top - 1].data();
        const Scalar* const right = slots_[top].data();
        for (Index k = begin; k < end; ++k) left[k] += right[k];
    }
}

template <class Scalar>
std::vector<Scalar*> GradientStore<Scalar>::cover() {
    std::vector<Scalar*> arrays;
    arrays.reserve(static_cast<std::size_t>(plan_.remaining()));
    for (int k = 0; k < plan_.remaining(); ++k) arrays.push_back(slots_[static_cast<std::size_t>(k)].data());
    return arrays;
}

template class GradientStore<float>;
template class GradientStore<double>;

}  // namespace lockstep
