#include <lockstep/comm/fixed_tree.hpp>
#include <lockstep/train/gradient_reducer.hpp>

#include <algorithm>

namespace lockstep {
namespace {

/// Large enough that the bytes and not the latency count, small enough that a network has several.
constexpr Index bucket_bytes = 256 * 1024;

}  // namespace

template <class Scalar>
GradientReducer<Scalar>::GradientReducer(const Communicator& communicator, const ReplicaMap& map,
                                         Index values, Options options) {
    // A rank alone has its sum already: nothing to add, and no message to send.
    if (communicator.size() > 1 && options.path == GradientPath::automatic &&
        options.reduction == Reduction::reproducible)
        node_sum_ = NodeSum<Scalar>::create(communicator, map, values);
    if (node_sum_) {
        cover_ = node_sum_->cover();
        return;
    }
    storage_ = std::make_shared<std::vector<AlignedVector<Scalar>>>(
        tree_cover(map.all(), map.block(communicator.rank())).size(),
        AlignedVector<Scalar>(static_cast<std::size_t>(values)));
    for (auto& array : *storage_) cover_.push_back(array.data());
    cut_buckets(communicator, map, values, options.reduction);
}

template <class Scalar>
void GradientReducer<Scalar>::cut_buckets(const Communicator& communicator, const ReplicaMap& map,
                                          Index values, Reduction reduction) {
    constexpr Index bucket_values = bucket_bytes / static_cast<Index>(sizeof(Scalar));
    for (Index end = values; end > 0; end = buckets_.back().begin) {
        const Index begin = std::max(Index{0}, end - bucket_values);
        auto cover = cover_;
        for (Scalar*& node : cover) node += begin;
        buckets_.push_back({begin, std::make_unique<ReplicaSum<Scalar>>(
                                       communicator, map, std::move(cover), end - begin,
                                       typename ReplicaSum<Scalar>::Options{.reduction = reduction,
                                                                            .owner_of_arrays = storage_})});
    }
}

template <class Scalar>
void GradientReducer<Scalar>::ready(Index offset) {
    if (node_sum_) {
        node_sum_->ready(offset);
        return;
    }
    for (; started_ < buckets_.size() && buckets_[started_].begin >= offset; ++started_)
        buckets_[started_].sum->start();
    poll();
}

template <class Scalar>
void GradientReducer<Scalar>::poll() {
    while (finished_ < started_ && buckets_[finished_].sum->poll()) ++finished_;
    for (std::size_t i = finished_; i < started_; ++i) buckets_[i].sum->poll();
}

template <class Scalar>
const Scalar* GradientReducer<Scalar>::finish() {
    if (node_sum_) return node_sum_->finish();
    ready(0);
    for (Bucket& bucket : buckets_) bucket.sum->wait();
    started_ = finished_ = 0;
    return cover_.front();
}

template class GradientReducer<float>;
template class GradientReducer<double>;

}  // namespace lockstep
