#include <lockstep/comm/node_memory.hpp>

#include "memory_offer.hpp"

#include <lockstep/comm/nodes.hpp>

#include <algorithm>
#include <utility>
#include <vector>

namespace lockstep {

struct NodeMemory::Blocks {
    std::vector<Mapping> mappings;  // by index within the node
};

NodeMemory::NodeMemory(std::unique_ptr<Blocks> blocks) : blocks_(std::move(blocks)) {}
NodeMemory::NodeMemory(NodeMemory&&) noexcept = default;
NodeMemory& NodeMemory::operator=(NodeMemory&&) noexcept = default;
NodeMemory::~NodeMemory() = default;

std::byte* NodeMemory::block(int index) const {
    return blocks_->mappings[static_cast<std::size_t>(index)].get() + mark_bytes;
}

std::optional<NodeMemory> NodeMemory::allocate(const Communicator& communicator, std::size_t bytes) {
    constexpr const char* what = "sharing memory within the node";
    const auto nodes = nodes_of(communicator);
    const auto ranks = static_cast<std::size_t>(communicator.size());
    OfferedMemory mine(bytes);  // open until all others have mapped it, or have given up
    std::vector<MemoryOffer> offers(ranks);
    communicator.all_gather(&mine.offer(), offers.data(),
                            std::vector<int>(ranks, static_cast<int>(sizeof(MemoryOffer))), what);

    auto blocks = std::make_unique<Blocks>();
    for (const int rank : nodes->mates())
        blocks->mappings.push_back(
            rank == communicator.rank() ? mine.take() : map_offer(offers[static_cast<std::size_t>(rank)]));
    const char mapped =
        std::ranges::all_of(blocks->mappings, [](const Mapping& one) { return one != nullptr; });
    std::vector<char> all_mapped(ranks);
    communicator.all_gather(&mapped, all_mapped.data(), std::vector<int>(ranks, 1), what);
    if (std::ranges::count(all_mapped, 1) != communicator.size()) return std::nullopt;
    return NodeMemory(std::move(blocks));
}

}  // namespace lockstep
