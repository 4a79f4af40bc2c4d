#include "communicator_state.hpp"

#include <lockstep/base/aligned_vector.hpp>
#include <lockstep/comm/node_arrays.hpp>
#include <lockstep/comm/nodes.hpp>

#include <algorithm>
#include <atomic>
#include <string>
#include <utility>

namespace lockstep {
namespace {

/// The memory is shared by processes, not only threads: that takes counters without locks.
using Counter = std::atomic_ref<std::uint64_t>;
static_assert(Counter::is_always_lock_free);

}  // namespace

std::shared_ptr<NodeArrays> NodeArrays::allocate(const Communicator& communicator, std::size_t bytes) {
    static_assert(header_bytes == cache_line_bytes);
    const auto nodes = nodes_of(communicator);
    if (nodes->largest() == 1) return nullptr;
    auto memory = NodeMemory::allocate(communicator, header_bytes + (nodes->index() == 0 ? bytes : 0));
    if (!memory) return nullptr;
    return std::shared_ptr<NodeArrays>(
        new NodeArrays(communicator, std::move(*memory), nodes->mates(), nodes->index()));
}

NodeArrays::NodeArrays(const Communicator& communicator, NodeMemory memory, std::vector<int> mates, int index)
    : communicator_(communicator), memory_(std::move(memory)), mates_(std::move(mates)), index_(index) {}

std::uint64_t* NodeArrays::arrivals(int index) const {
    return reinterpret_cast<std::uint64_t*>(memory_.block(index));
}

ArrayShare NodeArrays::share(Index values) const {
    constexpr Index line = cache_line_bytes;  // values of one byte would still lie on lines of their own
    const Index lines = (values + line - 1) / line, ranks = std::ssize(mates_);
    const auto boundary = [&](Index i) { return std::min(values, i * lines / ranks * line); };
    return {boundary(index_), boundary(index_ + 1)};
}

void NodeArrays::meet(std::string_view what) {
    const Inside inside(communicator_);
    state_of(communicator_).check_usable();
    ++meetings_;
    // Release and acquire: who sees that a rank has come sees what it has written.
    Counter(*arrivals(index_)).store(meetings_, std::memory_order_release);
    const auto missing = [&] {
        std::vector<int> ranks;
        for (std::size_t i = 0; i < mates_.size(); ++i)
            if (Counter(*arrivals(static_cast<int>(i))).load(std::memory_order_acquire) < meetings_)
                ranks.push_back(mates_[i]);
        return ranks;
    };
    TimedWait wait(state_of(communicator_));
    for (std::size_t here = 0; here < mates_.size();) {
        if (Counter(*arrivals(static_cast<int>(here))).load(std::memory_order_acquire) >= meetings_)
            ++here;
        else if (wait.time_is_up())
            state_of(communicator_).fail_on_time(std::string(what), missing());
    }
}

}  // namespace lockstep
