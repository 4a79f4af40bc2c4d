#include "cluster_sum.hpp"

#include "../simd/elementwise.hpp"
#include "buckets.hpp"
#include "communicator_state.hpp"

#include <lockstep/base/error.hpp>

#include <algorithm>
#include <atomic>
#include <utility>

namespace lockstep {

/// What a rank's block begins with; each counter has a cache line of its own.
template <class Scalar>
struct ClusterSum<Scalar>::Counters {
    alignas(cache_line_bytes) std::uint64_t given;
    alignas(cache_line_bytes) std::uint64_t done;
};

namespace {

/// The memory is shared by processes, not only threads: that takes counters without locks.
using Counter = std::atomic_ref<std::uint64_t>;
static_assert(Counter::is_always_lock_free);

/// Arrays and lanes start on a cache line.
template <class Scalar>
constexpr Index line_values = cache_line_bytes / static_cast<Index>(sizeof(Scalar));

template <class Scalar>
Index padded(Index values) {
    return (values + line_values<Scalar> - 1) / line_values<Scalar> * line_values<Scalar>;
}

std::size_t cover_size(const ReplicaMap& map, int rank) {
    return tree_cover(map.all(), map.block(rank)).size();
}

ReplicaRange replicas_of(const ReplicaMap& map, const std::vector<int>& ranks) {
    return {map.block(ranks.front()).begin, map.block(ranks.back()).end};
}

std::vector<ReplicaRange> covers_of(const ReplicaMap& map, const std::vector<int>& ranks) {
    std::vector<ReplicaRange> nodes;
    for (const int rank : ranks)
        for (const ReplicaRange node : tree_cover(map.all(), map.block(rank))) nodes.push_back(node);
    return nodes;
}

}  // namespace

template <class Scalar>
std::unique_ptr<ClusterSum<Scalar>> ClusterSum<Scalar>::create(const Communicator& communicator,
                                                               const ReplicaMap& map, Index values,
                                                               const Nodes& nodes) {
    auto memory = std::make_shared<Memory>();
    const std::size_t arrays = cover_size(map, communicator.rank());
    if (nodes.largest() > 1) {
        const std::size_t all =
            arrays + (nodes.index() == 0 ? 1 : 0);  // the result is the first rank's last one
        memory->node = NodeMemory::allocate(
            communicator,
            sizeof(Counters) + all * static_cast<std::size_t>(padded<Scalar>(values)) * sizeof(Scalar));
        if (!memory->node) return nullptr;
    } else {
        memory->own.assign(arrays, AlignedVector<Scalar>(static_cast<std::size_t>(values)));
    }
    return std::unique_ptr<ClusterSum>(new ClusterSum(communicator, map, values, nodes, std::move(memory)));
}

template <class Scalar>
ClusterSum<Scalar>::ClusterSum(const Communicator& communicator, const ReplicaMap& map, Index values,
                               const Nodes& nodes, std::shared_ptr<Memory> memory)
    : communicator_(communicator),
      memory_(std::move(memory)),
      mates_(nodes.mates()),
      index_(nodes.index()),
      nodes_(nodes.count()),
      node_fold_(map.all(), covers_of(map, mates_)) {
    place_arrays(map, values);
    cut_lanes(map, values, nodes);
}

template <class Scalar>
void ClusterSum<Scalar>::place_arrays(const ReplicaMap& map, Index values) {
    if (memory_->node) {
        for (std::size_t i = 0; i < mates_.size(); ++i) {
            auto* next =
                reinterpret_cast<Scalar*>(memory_->node->block(static_cast<int>(i)) + sizeof(Counters));
            for (std::size_t k = 0; k < cover_size(map, mates_[i]); ++k, next += padded<Scalar>(values)) {
                operands_.push_back(next);
                if (static_cast<int>(i) == index_) this->cover_.push_back(next);
            }
            if (i == 0) result_ = next;
        }
    } else {
        for (auto& array : memory_->own) operands_.push_back(array.data());
        this->cover_ = operands_;
        result_ = operands_.front();
    }
    // Sums within the node lie where their left operands lay.
    stack_.resize(static_cast<std::size_t>(node_fold_.slots()));
    node_fold_.fold(
        stack_.data(), [&](int i) { return operands_[static_cast<std::size_t>(i)]; },
        [](Scalar* left, Scalar*, FoldPlace) { return left; });
    node_cover_.assign(stack_.begin(), stack_.begin() + node_fold_.remaining());
}

template <class Scalar>
void ClusterSum<Scalar>::cut_lanes(const ReplicaMap& map, Index values, const Nodes& nodes) {
    const Index lanes = nodes.smallest();
    std::vector<SumParty> parties;
    if (index_ < lanes)
        for (int node = 0; node < nodes.count(); ++node) {
            const std::vector<int>& ranks = nodes.ranks_of(node);
            parties.push_back({ranks[static_cast<std::size_t>(index_)], replicas_of(map, ranks)});
        }
    for (const Bucket& bucket : buckets_of<Scalar>(values, lanes, lane_bytes_between(nodes.count()))) {
        const int number = next_sum(communicator_);  // those without a lane count as well
        Lane lane{
            .begin = bucket.begin, .end = bucket.end, .first = bucket.begin, .values = 0, .sum = nullptr};
        if (index_ < lanes) {
            const Index lines = (bucket.end - bucket.begin + line_values<Scalar> - 1) / line_values<Scalar>;
            const auto boundary = [&](Index i) {
                return std::min(bucket.end, bucket.begin + i * lines / lanes * line_values<Scalar>);
            };
            lane.first = boundary(index_);
            lane.values = boundary(index_ + 1) - lane.first;
        }
        if (lane.values > 0) {
            std::vector<Scalar*> cover = node_cover_;
            for (Scalar*& array : cover) array += lane.first;
            lane.sum = std::make_unique<ReplicaSum<Scalar>>(communicator_, parties, std::move(cover),
                                                            result_ + lane.first, lane.values, number,
                                                            memory_, typename ReplicaSum<Scalar>::Options{});
        }
        lanes_.push_back(std::move(lane));
    }
}

template <class Scalar>
auto ClusterSum<Scalar>::counters(int index) const -> Counters& {
    return *reinterpret_cast<Counters*>(memory_->node->block(index));
}

template <class Scalar>
std::string ClusterSum<Scalar>::path() const {
    return memory_->node
               ? "in shared memory within " + std::to_string(nodes_) + " nodes, in messages between them"
               : "in messages";
}

template <class Scalar>
void ClusterSum<Scalar>::ready(Index offset) {
    const std::uint64_t before = given_;
    while (given_ < lanes_.size() && lanes_[given_].begin >= offset) ++given_;
    // Release: whoever sees this sees the values, too, and that the last result has been read.
    if (given_ != before && memory_->node)
        Counter(counters(index_).given).store(before_ + given_, std::memory_order_release);
    drive();
}

template <class Scalar>
bool ClusterSum<Scalar>::bucket_is_complete() {
    const std::uint64_t wanted = before_ + started_ + 1;
    if (before_ + given_ < wanted) return false;
    if (!memory_->node || given_by_all_ >= wanted) return true;
    std::uint64_t least = before_ + given_;
    for (int i = 0; i < static_cast<int>(mates_.size()); ++i)
        least = std::min(least, Counter(counters(i).given).load(std::memory_order_acquire));
    given_by_all_ = least;
    return least >= wanted;
}

template <class Scalar>
void ClusterSum<Scalar>::add_within_node(const Lane& lane) {
    node_fold_.fold(
        stack_.data(), [&](int i) { return operands_[static_cast<std::size_t>(i)] + lane.first; },
        [&](Scalar* left, const Scalar* right, FoldPlace) {
            elementwise<Scalar>().add(left, left, right, lane.values);
            return left;
        });
}

template <class Scalar>
void ClusterSum<Scalar>::drive() {
    for (; started_ < lanes_.size() && bucket_is_complete(); ++started_) {
        Lane& lane = lanes_[started_];
        if (!lane.sum) continue;
        if (memory_->node) add_within_node(lane);
        lane.sum->start();
    }
    for (std::size_t i = finished_; i < started_; ++i) {
        const bool there = !lanes_[i].sum || lanes_[i].sum->poll();
        if (!there || i != finished_) continue;
        ++finished_;
        // Release: whoever sees this may read the result.
        if (memory_->node)
            Counter(counters(index_).done).store(before_ + finished_, std::memory_order_release);
    }
}

template <class Scalar>
bool ClusterSum<Scalar>::all_done() const {
    if (finished_ < lanes_.size()) return false;
    if (!memory_->node) return true;
    for (int i = 0; i < static_cast<int>(mates_.size()); ++i)
        if (Counter(counters(i).done).load(std::memory_order_acquire) < before_ + lanes_.size()) return false;
    return true;
}

template <class Scalar>
const Scalar* ClusterSum<Scalar>::finish() {
    const Inside inside(communicator_);
    state_of(communicator_).check_usable();
    ready(0);
    TimedWait wait(state_of(communicator_));
    for (; !all_done(); drive())
        if (wait.time_is_up()) fail_on_time();
    before_ += lanes_.size();
    given_ = 0;
    started_ = finished_ = 0;
    return result_;
}

template <class Scalar>
void ClusterSum<Scalar>::fail_on_time() {
    if (finished_ < started_ && lanes_[finished_].sum) lanes_[finished_].sum->fail_on_time();
    std::vector<int> missing;
    for (int i = 0; i < static_cast<int>(mates_.size()); ++i)
        if (Counter(counters(i).given).load(std::memory_order_relaxed) < before_ + lanes_.size())
            missing.push_back(mates_[static_cast<std::size_t>(i)]);
    state_of(communicator_).fail_on_time("reducing gradients", missing);
}

template class ClusterSum<float>;
template class ClusterSum<double>;

}  // namespace lockstep
