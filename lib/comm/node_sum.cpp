#include "node_sum.hpp"

#include "../simd/elementwise.hpp"
#include "communicator_state.hpp"

#include <algorithm>
#include <atomic>
#include <utility>

namespace lockstep {

/// What a block begins with; each counter has a cache line of its own.
template <class Scalar>
struct NodeSum<Scalar>::Counters {
    alignas(cache_line_bytes) std::uint64_t given;
    /// Not 0 while the rank adds a chunk: whom to blame where it never ends.
    alignas(cache_line_bytes) std::uint64_t adding;
    // Of the node; rank 0's are used.
    alignas(cache_line_bytes) std::uint64_t claimed;
    alignas(cache_line_bytes) std::uint64_t added;
};

namespace {

/// The memory is shared by processes, not only threads: that takes counters without locks.
using Counter = std::atomic_ref<std::uint64_t>;
static_assert(Counter::is_always_lock_free);

/// Small enough that all ranks have something to do, large enough that claiming it does not count.
template <class Scalar>
constexpr Index chunk_values = 32 * 1024 / static_cast<Index>(sizeof(Scalar));

template <class Scalar>
Index number_of_chunks(Index count) {
    return (count + chunk_values<Scalar> - 1) / chunk_values<Scalar>;
}

/// Arrays start on a cache line.
template <class Scalar>
Index padded(Index count) {
    constexpr Index line = cache_line_bytes / sizeof(Scalar);
    return (count + line - 1) / line * line;
}

std::size_t cover_size(const ReplicaMap& map, int rank) {
    return tree_cover(map.all(), map.block(rank)).size();
}

}  // namespace

template <class Scalar>
std::unique_ptr<NodeSum<Scalar>> NodeSum<Scalar>::create(const Communicator& communicator,
                                                         const ReplicaMap& map, Index count) {
    const int me = communicator.rank();
    const std::size_t arrays = cover_size(map, me) + (me == 0 ? 1 : 0);  // the result is rank 0's last one
    auto memory = NodeMemory::allocate(
        communicator,
        sizeof(Counters) + arrays * static_cast<std::size_t>(padded<Scalar>(count)) * sizeof(Scalar));
    if (!memory) return nullptr;
    return std::unique_ptr<NodeSum>(new NodeSum(communicator, map, count, std::move(*memory)));
}

template <class Scalar>
NodeSum<Scalar>::NodeSum(const Communicator& communicator, const ReplicaMap& map, Index count,
                         NodeMemory memory)
    : communicator_(communicator),
      memory_(std::move(memory)),
      count_(count),
      chunks_(static_cast<std::uint64_t>(number_of_chunks<Scalar>(count))),
      top_(map.all(), all_covers(map)) {
    const auto array = [&](int rank, std::size_t k) {
        auto* const first = reinterpret_cast<Scalar*>(memory_.block(rank) + sizeof(Counters));
        return first + static_cast<Index>(k) * padded<Scalar>(count);
    };
    for (int rank = 0; rank < map.ranks(); ++rank)
        for (std::size_t k = 0; k < cover_size(map, rank); ++k) {
            operands_.push_back(array(rank, k));
            if (rank == communicator.rank()) this->cover_.push_back(array(rank, k));
        }
    result_ = array(0, cover_size(map, 0));
    stack_.resize(static_cast<std::size_t>(top_.slots()));
    partial_sums_.resize(stack_.size() * static_cast<std::size_t>(chunk_values<Scalar>));
}

template <class Scalar>
auto NodeSum<Scalar>::counters(int rank) const -> Counters& {
    return *reinterpret_cast<Counters*>(memory_.block(rank));
}

template <class Scalar>
void NodeSum<Scalar>::ready(Index offset) {
    const auto incomplete = static_cast<std::uint64_t>(number_of_chunks<Scalar>(offset));
    const std::uint64_t given = before_ + chunks_ - incomplete;
    if (given <= given_) return;
    given_ = given;
    // Release: whoever sees this sees the values, too, and that the last result has been read.
    Counter(counters(communicator_.rank()).given).store(given, std::memory_order_release);
}

template <class Scalar>
std::uint64_t NodeSum<Scalar>::given_by_all() const {
    std::uint64_t least = given_;
    for (int rank = 0; rank < communicator_.size() && least > given_by_all_; ++rank)
        least = std::min(least, Counter(counters(rank).given).load(std::memory_order_acquire));
    return least;
}

template <class Scalar>
bool NodeSum<Scalar>::add_next_chunk() {
    const Counter claimed(counters(0).claimed), added(counters(0).added);
    const Counter adding(counters(communicator_.rank()).adding);
    // Relaxed: the claim only says whose the chunk is; what it holds is ordered by the other counters.
    std::uint64_t next = claimed.load(std::memory_order_relaxed);
    if (next >= given_by_all_) given_by_all_ = given_by_all();
    if (next >= given_by_all_) return false;
    adding.store(1, std::memory_order_relaxed);
    if (claimed.compare_exchange_strong(next, next + 1, std::memory_order_relaxed)) {
        // Chunk 0 of a sum is the last of the arrays.
        const auto chunk = static_cast<Index>(before_ + chunks_ - 1 - next);
        add_chunk(chunk * chunk_values<Scalar>, std::min(count_, (chunk + 1) * chunk_values<Scalar>));
        // Release: whoever has seen all chunks added may read the result and write its own arrays anew.
        added.fetch_add(1, std::memory_order_release);
    }
    adding.store(0, std::memory_order_relaxed);
    return true;
}

template <class Scalar>
void NodeSum<Scalar>::add_chunk(Index begin, Index end) {
    top_.fold(
        stack_.data(), [&](int i) { return operands_[static_cast<std::size_t>(i)] + begin; },
        [&](const Scalar* left, const Scalar* right, FoldPlace place) {
            Scalar* const into =
                place.root ? result_ + begin
                           : partial_sums_.data() + static_cast<Index>(place.slot) * chunk_values<Scalar>;
            elementwise<Scalar>().add(into, left, right, end - begin);
            return into;
        });
    if (top_.nodes() == 1) std::copy(stack_[0], stack_[0] + (end - begin), result_ + begin);
}

template <class Scalar>
const Scalar* NodeSum<Scalar>::finish() {
    const Inside inside(communicator_);
    state_of(communicator_).check_usable();
    ready(0);
    TimedWait wait(state_of(communicator_));
    const Counter added(counters(0).added);
    while (add_next_chunk() || added.load(std::memory_order_acquire) < given_)
        if (wait.time_is_up()) fail_on_time();
    before_ = given_;
    return result_;
}

template <class Scalar>
void NodeSum<Scalar>::fail_on_time() const {
    std::vector<int> missing;
    for (int rank = 0; rank < communicator_.size(); ++rank) {
        Counters& theirs = counters(rank);
        if (Counter(theirs.given).load(std::memory_order_relaxed) < given_ ||
            Counter(theirs.adding).load(std::memory_order_relaxed) != 0)
            missing.push_back(rank);
    }
    state_of(communicator_).fail_on_time("reducing gradients", missing);
}

template class NodeSum<float>;
template class NodeSum<double>;

}  // namespace lockstep
