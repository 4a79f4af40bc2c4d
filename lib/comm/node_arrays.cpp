#include <lockstep/comm/node_arrays.hpp>

#include "communicator_state.hpp"
#include "memory_offer.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/comm/agreement.hpp>
#include <lockstep/comm/nodes.hpp>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <optional>
#include <utility>

namespace lockstep {

/// One block of the node's first rank: a line for each rank, then the arrays, each on pages of its own.
struct NodeArrays::Memory {
    Mapping block;
    std::vector<PagedMemory*> arrays;  // as this rank sees them
    std::vector<std::size_t> places;   // where the node has them, from the block's first byte
    PageCopies copies;
    std::optional<std::uint64_t> clean_at;  // page faults before it was found that nothing has been written
};

struct NodeArrays::Counters {
    /// Meetings that the rank has come to; only grows.
    alignas(cache_line_bytes) std::uint64_t come;
    /// What it brought to the last one and to the one before. Two are enough: nobody comes to a meeting before all have
    /// come to the one before it, so the slowest still reads that one's at most.
    std::array<Brought, 2> brought;
};

namespace {

/// The memory is shared by processes, not only threads: that takes counters without locks.
using Counter = std::atomic_ref<std::uint64_t>;
static_assert(Counter::is_always_lock_free);

std::size_t whole_pages(std::size_t bytes) {
    return (bytes + PagedMemory::page_size() - 1) / PagedMemory::page_size() * PagedMemory::page_size();
}

/// Alike on all ranks: whether it is so on each of them.
bool on_all(const Communicator& communicator, bool here) {
    const char mine = here ? 1 : 0;
    std::vector<char> all(static_cast<std::size_t>(communicator.size()));
    communicator.all_gather(&mine, all.data(), std::vector<int>(all.size(), 1),
                            "sharing arrays within the node");
    return std::ranges::count(all, 1) == communicator.size();
}

/// The pages of an array that hold something else than another block, and what they hold.
class OtherPages {
  public:
    OtherPages(const PagedMemory& array, const std::byte* other) {
        for (std::size_t at = 0; at < array.bytes(); at += PagedMemory::page_size()) {
            const std::size_t bytes = std::min(PagedMemory::page_size(), array.bytes() - at);
            const std::byte* const page = array.data() + at;
            if (std::memcmp(page, other + at, bytes) != 0) pages_.push_back({at, {page, page + bytes}});
        }
    }
    void write_to(const PagedMemory& array) const {
        for (const Page& page : pages_) std::ranges::copy(page.content, array.data() + page.place);
    }

  private:
    struct Page {
        std::size_t place;
        std::vector<std::byte> content;
    };
    std::vector<Page> pages_;
};

}  // namespace

std::unique_ptr<NodeArrays> NodeArrays::share(const Communicator& communicator,
                                              std::vector<PagedMemory*> arrays) {
    Settings sizes;  // a rank that means other arrays than the others would read beyond them
    for (const PagedMemory* array : arrays)
        sizes.emplace_back("bytes of array " + std::to_string(sizes.size()), std::to_string(array->bytes()));
    check_agreement(communicator, "arrays of the node", sizes);
    const auto nodes = nodes_of(communicator);
    if (nodes->largest() == 1) return nullptr;

    auto memory = std::make_unique<Memory>();
    std::size_t end = whole_pages(mark_bytes + nodes->mates().size() * sizeof(Counters));
    for (const PagedMemory* array : arrays) {
        memory->places.push_back(end);
        end += array->page_bytes();
    }
    const bool gives = nodes->index() == 0;
    OfferedMemory mine(gives ? end - mark_bytes
                             : 0);  // open until all others have mapped it, or have given up
    if (gives && (memory->block = mine.take()))
        for (std::size_t i = 0; i < arrays.size(); ++i)
            std::copy_n(arrays[i]->data(), arrays[i]->bytes(), memory->block.get() + memory->places[i]);
    const auto ranks = static_cast<std::size_t>(communicator.size());
    std::vector<MemoryOffer> offers(ranks);
    communicator.all_gather(&mine.offer(), offers.data(),
                            std::vector<int>(ranks, static_cast<int>(sizeof(MemoryOffer))),
                            "sharing arrays within the node");

    const OfferedFile file(offers[static_cast<std::size_t>(nodes->mates().front())]);
    if (!gives) memory->block = file.map();
    if (!on_all(communicator, memory->block != nullptr)) return nullptr;
    // What has been shown before a refusal is what the array held.
    bool shown = true;
    for (std::size_t i = 0; i < arrays.size() && shown; ++i) {
        const OtherPages own(*arrays[i], memory->block.get() + memory->places[i]);
        const bool placed = arrays[i]->show(file.descriptor(), memory->places[i]);
        shown = placed && memory->copies.can_tell(*arrays[i]);
        if (placed) own.write_to(*arrays[i]);  // a refusal, too, leaves what the array held
    }
    if (!on_all(communicator, shown)) return nullptr;
    memory->arrays = std::move(arrays);
    return std::unique_ptr<NodeArrays>(new NodeArrays(communicator, std::move(memory)));
}

NodeArrays::NodeArrays(const Communicator& communicator, std::unique_ptr<Memory> memory)
    : communicator_(communicator),
      memory_(std::move(memory)),
      mates_(nodes_of(communicator)->mates()),
      me_(nodes_of(communicator)->index()),
      brought_(mates_.size()) {}

NodeArrays::~NodeArrays() = default;

auto NodeArrays::counters(int member) const -> Counters& {
    return reinterpret_cast<Counters*>(memory_->block.get() + mark_bytes)[member];
}

std::byte* NodeArrays::node_side(std::size_t i) const {
    return memory_->block.get() + memory_->places[i];
}

auto NodeArrays::share_of(Index values, std::size_t value_bytes) const -> Share {
    const auto page = static_cast<Index>(PagedMemory::page_size() / value_bytes);
    const Index pages = (values + page - 1) / page;
    const auto cut = [&](Index member) {
        return std::min(values, pages * member / std::ssize(mates_) * page);
    };
    return {cut(me_), cut(me_ + 1)};
}

auto NodeArrays::meet(const char* what, const Brought& brought) -> const std::vector<Brought>& {
    const Inside inside(communicator_);
    CommunicatorState& state = state_of(communicator_);
    state.check_usable();
    const std::size_t slot = ++meetings_ % 2;
    counters(me_).brought[slot] = brought;
    // Release: whoever sees this sees what this rank has brought and written.
    Counter(counters(me_).come).store(meetings_, std::memory_order_release);
    TimedWait wait(state);
    const auto has_come = [this](int member) {
        return Counter(counters(member).come).load(std::memory_order_acquire) >= meetings_;
    };
    for (int member = 0; member < static_cast<int>(mates_.size()); ++member) {
        while (!has_come(member)) {
            if (!wait.time_is_up()) continue;
            std::vector<int> missing;
            for (int one = 0; one < static_cast<int>(mates_.size()); ++one)
                if (!has_come(one)) missing.push_back(mates_[static_cast<std::size_t>(one)]);
            state.fail_on_time(what, missing);
        }
        brought_[static_cast<std::size_t>(member)] = counters(member).brought[slot];
    }
    return brought_;
}

void NodeArrays::require_same(const char* subject, std::size_t place,
                              const std::function<std::string(std::uint64_t)>& text) const {
    const auto other = std::ranges::find_if(
        brought_, [&](const Brought& one) { return one[place] != brought_.front()[place]; });
    if (other == brought_.end()) return;
    CommunicatorState& state = state_of(communicator_);
    const auto side = [&](std::ptrdiff_t member) {
        const auto i = static_cast<std::size_t>(member);
        return text(brought_[i][place]) + " on rank " + std::to_string(state.name(mates_[i]));
    };
    state.fail(communicator_.whoami() + ": the ranks do not agree on " + subject + ": " + side(0) + "; " +
               side(other - brought_.begin()) + "; give every rank the same");
}

void NodeArrays::publish() const {
    for (std::size_t i = 0; i < memory_->arrays.size(); ++i) {
        const PagedMemory& seen = *memory_->arrays[i];
        const Share share = share_of(static_cast<Index>(seen.bytes()), 1);
        for (Index at = share.begin; at < share.end; at += static_cast<Index>(PagedMemory::page_size())) {
            const std::size_t bytes =
                std::min(PagedMemory::page_size(), static_cast<std::size_t>(share.end - at));
            // Most is the same, and costs the others less if it is not written.
            if (std::memcmp(node_side(i) + at, seen.data() + at, bytes) != 0)
                std::memcpy(node_side(i) + at, seen.data() + at, bytes);
        }
    }
}

void NodeArrays::renew() const {
    for (PagedMemory* const array : memory_->arrays) array->renew();
}

bool NodeArrays::was_written() const {
    // In most steps the system has had nothing to do, and so has nothing to say.
    const std::uint64_t faults = PageCopies::page_faults();
    if (memory_->clean_at == faults) return false;
    const bool written = std::ranges::any_of(
        memory_->arrays, [this](const PagedMemory* array) { return memory_->copies.any_of(*array); });
    memory_->clean_at = written ? std::nullopt : std::optional(faults);
    return written;
}

}  // namespace lockstep
