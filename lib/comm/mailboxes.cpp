#include "mailboxes.hpp"

#include "communicator_state.hpp"

#include <lockstep/base/aligned_vector.hpp>
#include <lockstep/comm/tags.hpp>
#include <lockstep/comm/tree_exchange.hpp>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>

namespace lockstep {
namespace {

/// The memory is shared by processes, not only threads: that takes counters without locks.
using Counter = std::atomic_ref<std::uint64_t>;
static_assert(Counter::is_always_lock_free);

/// Letters of a lane that may be under way: as many as there is room for beside their counter.
constexpr std::size_t places = cache_line_bytes / sizeof(std::uint64_t) - 1;
/// A half that has been filled so far is left as soon as the other one is free: what is used again soon stays in the
/// caches, and looking whether it is free costs little for so many bytes.
constexpr std::size_t enough_for_now = std::size_t{16} << 10;
constexpr int lane_count = tags::exchange.count;

/// Where a letter lies in the ring, in cache lines, and how long it is.
struct Place {
    std::uint32_t line;
    std::uint32_t bytes;
};
constexpr std::uint32_t comes_by_mpi = UINT32_MAX;

std::size_t in_lines(std::size_t bytes) {
    return (bytes + cache_line_bytes - 1) / cache_line_bytes * cache_line_bytes;
}

}  // namespace

struct Mailboxes::Posted {
    alignas(cache_line_bytes) std::uint64_t count;
    std::array<Place, places> where;  // letter i in i mod places
};

struct Mailboxes::Taken {
    alignas(cache_line_bytes) std::uint64_t count;
};

/// What the owner of the block writes for a lane to a mate and for the one back.
struct Mailboxes::Pair {
    Posted posted;
    Taken taken;
};

std::shared_ptr<Mailboxes> Mailboxes::create(const Communicator& communicator) {
    auto nodes = nodes_of(communicator);
    if (nodes->largest() == 1) return nullptr;
    auto memory =
        NodeMemory::allocate(communicator, lane_count * nodes->mates().size() * sizeof(Pair) + 2 * longest);
    if (!memory) return nullptr;
    return std::shared_ptr<Mailboxes>(new Mailboxes(*std::move(memory), std::move(nodes)));
}

Mailboxes::Mailboxes(NodeMemory memory, std::shared_ptr<const Nodes> nodes)
    : memory_(std::move(memory)), nodes_(std::move(nodes)), lanes_(lane_count * nodes_->mates().size()) {
    for (Half& half : halves_) half.posted.resize(lanes_.size());
}

std::optional<int> Mailboxes::mate(int rank) const {
    const auto found = std::ranges::find(nodes_->mates(), rank);
    if (found == nodes_->mates().end()) return std::nullopt;
    return static_cast<int>(found - nodes_->mates().begin());
}

std::size_t Mailboxes::number(int lane, int mate) const {
    return static_cast<std::size_t>(lane) * nodes_->mates().size() + static_cast<std::size_t>(mate);
}

auto Mailboxes::pair(int owner, int lane, int mate) const -> Pair& {
    return reinterpret_cast<Pair*>(memory_.block(owner))[number(lane, mate)];
}

auto Mailboxes::posted(int owner, int lane, int receiver) const -> Posted& {
    return pair(owner, lane, receiver).posted;
}

auto Mailboxes::taken(int owner, int lane, int sender) const -> Taken& {
    return pair(owner, lane, sender).taken;
}

std::byte* Mailboxes::ring(int owner) const {
    return memory_.block(owner) + lanes_.size() * sizeof(Pair);
}

bool Mailboxes::all_taken(std::size_t lane_number, std::uint64_t count) {
    Lane& lane = lanes_[lane_number];
    if (lane.seen_taken >= count) return true;
    const int mates = static_cast<int>(nodes_->mates().size());
    const int stage = static_cast<int>(lane_number) / mates, mate = static_cast<int>(lane_number) % mates;
    // Acquire: what the mate has read before it counted, it has read before this rank writes again.
    lane.seen_taken = Counter(taken(mate, stage, nodes_->index()).count).load(std::memory_order_acquire);
    return lane.seen_taken >= count;
}

bool Mailboxes::is_free(const Half& half) {
    for (std::size_t i = 0; i < lanes_.size(); ++i)
        if (!all_taken(i, half.posted[i])) return false;
    return true;
}

std::optional<std::size_t> Mailboxes::allocate(std::size_t bytes) {
    if (bytes > longest) return std::nullopt;
    const bool fits = used_ + bytes <= longest;
    if (!fits || used_ >= enough_for_now) {
        if (is_free(halves_[1 - half_])) {
            for (std::size_t i = 0; i < lanes_.size(); ++i) halves_[half_].posted[i] = lanes_[i].posted;
            half_ = 1 - half_;
            used_ = 0;
        } else if (!fits) {
            return std::nullopt;
        }
    }
    return half_ * longest + std::exchange(used_, used_ + bytes);
}

auto Mailboxes::post(int lane, std::span<const int> receivers, std::span<const std::byte> letter) -> Outcome {
    for (const int mate : receivers) {
        const std::size_t i = number(lane, mate);
        if (lanes_[i].posted >= places && !all_taken(i, lanes_[i].posted - places + 1))
            return Outcome::lane_full;
    }
    Place place{comes_by_mpi, static_cast<std::uint32_t>(letter.size())};
    if (const auto offset = allocate(in_lines(letter.size()))) {
        std::memcpy(ring(nodes_->index()) + *offset, letter.data(), letter.size());
        place.line = static_cast<std::uint32_t>(*offset / cache_line_bytes);
    }
    for (const int mate : receivers) {
        std::uint64_t& count = lanes_[number(lane, mate)].posted;
        Posted& line = posted(nodes_->index(), lane, mate);
        line.where[count % places] = place;
        // Release: whoever sees this sees the place and the letter.
        Counter(line.count).store(++count, std::memory_order_release);
    }
    return place.line == comes_by_mpi ? Outcome::announced : Outcome::posted;
}

auto Mailboxes::next(int lane, int sender) const -> std::optional<Letter> {
    const std::uint64_t count = lanes_[number(lane, sender)].taken;
    Posted& line = posted(sender, lane, nodes_->index());
    if (Counter(line.count).load(std::memory_order_acquire) <= count) return std::nullopt;
    const Place place = line.where[count % places];
    const std::byte* const data =
        place.line == comes_by_mpi ? nullptr : ring(sender) + std::size_t{place.line} * cache_line_bytes;
    return Letter{data, place.bytes};
}

void Mailboxes::take(int lane, int sender) {
    std::uint64_t& count = lanes_[number(lane, sender)].taken;
    // Release: whoever sees this may write over what has been read.
    Counter(taken(nodes_->index(), lane, sender).count).store(++count, std::memory_order_release);
}

std::vector<int> Mailboxes::ranks_with_letters() {
    std::vector<int> ranks;
    for (std::size_t i = 0; i < lanes_.size(); ++i)
        if (!all_taken(i, lanes_[i].posted)) ranks.push_back(nodes_->mates()[i % nodes_->mates().size()]);
    return ranks;
}

void share_exchange_memory(const Communicator& communicator) {
    CommunicatorState& state = state_of(communicator);
    if (state.size == 1 || state.mailboxes) return;
    state.mailboxes = Mailboxes::create(communicator);
}

}  // namespace lockstep
