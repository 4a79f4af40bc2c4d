#include <lockstep/comm/nodes.hpp>

#include "communicator_state.hpp"
#include "memory_offer.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/base/hash.hpp>
#include <lockstep/comm/agreement.hpp>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>

namespace lockstep {
namespace {

constexpr const char* what = "finding out which ranks share a node";

/// Whom a rank can share memory with, itself included.
struct Reach {
    std::int64_t first = 0;
    std::int64_t ranks = 0;
    std::uint64_t hash = 0;  // of them

    friend bool operator==(const Reach&, const Reach&) = default;
    friend bool operator<(const Reach& left, const Reach& right) {
        return std::tie(left.first, left.ranks, left.hash) < std::tie(right.first, right.ranks, right.hash);
    }
};

template <class Value>
std::vector<Value> gather(const Communicator& communicator, const Value& mine) {
    const auto ranks = static_cast<std::size_t>(communicator.size());
    std::vector<Value> all(ranks);
    communicator.all_gather(&mine, all.data(), std::vector<int>(ranks, static_cast<int>(sizeof(Value))),
                            what);
    return all;
}

Reach reach_of(const std::vector<int>& ranks) {
    Hash64 hash;
    for (const int rank : ranks) hash.add_value(rank);
    return {ranks.front(), std::ssize(ranks), hash.value()};
}

/// Ranks that have found the same set of ranks, which is theirs, share a node.
std::vector<std::vector<int>> found_nodes(const Communicator& communicator) {
    const OfferedMemory mine(0);  // until all others have tried to map it
    const std::vector<MemoryOffer> offers = gather(communicator, mine.offer());
    std::vector<int> reached;
    for (int rank = 0; rank < communicator.size(); ++rank)
        if (rank == communicator.rank() || map_offer(offers[static_cast<std::size_t>(rank)]))
            reached.push_back(rank);
    const std::vector<Reach> reaches = gather(communicator, reach_of(reached));
    std::map<Reach, std::vector<int>> finders;
    for (int rank = 0; rank < communicator.size(); ++rank)
        finders[reaches[static_cast<std::size_t>(rank)]].push_back(rank);
    std::vector<std::vector<int>> nodes;
    for (auto& [reach, ranks] : finders) {
        if (reach == reach_of(ranks))
            nodes.push_back(std::move(ranks));
        else
            for (const int rank : ranks) nodes.push_back({rank});
    }
    std::ranges::sort(nodes, {}, [](const std::vector<int>& ranks) { return ranks.front(); });
    return nodes;
}

/// What LOCKSTEP_RANKS_PER_NODE says: 0 where it is not set.
int ranks_per_node() {
    constexpr const char* variable = "LOCKSTEP_RANKS_PER_NODE";
    const char* const value = std::getenv(variable);
    if (value == nullptr || *value == '\0') return 0;
    const std::string_view text = value;
    int ranks = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), ranks);
    if (error != std::errc{} || end != text.data() + text.size() || ranks < 1)
        throw UsageError(std::string(variable) + " is '" + std::string(text) +
                         "': give the number of ranks that make a node, 1 or more, or leave it unset");
    return ranks;
}

/// Nodes of so many ranks, and what is left over.
std::vector<std::vector<int>> cut(const std::vector<std::vector<int>>& nodes, int size) {
    std::vector<std::vector<int>> parts;
    for (const std::vector<int>& ranks : nodes)
        for (std::size_t i = 0; i < ranks.size(); ++i) {
            if (i % static_cast<std::size_t>(size) == 0) parts.emplace_back();
            parts.back().push_back(ranks[i]);
        }
    return parts;
}

std::vector<std::vector<int>> find_nodes(const Communicator& communicator) {
    int most = 0;
    std::string fault;
    try {
        most = ranks_per_node();
    } catch (const UsageError& error) {
        fault = error.what();
    }
    check_agreement(communicator, "the nodes", {{"LOCKSTEP_RANKS_PER_NODE", std::to_string(most)}}, fault);
    if (communicator.size() == 1) return {{0}};
    std::vector<std::vector<int>> nodes = found_nodes(communicator);
    return most == 0 ? nodes : cut(nodes, most);
}

}  // namespace

Nodes::Nodes(std::vector<std::vector<int>> ranks, int rank) : ranks_(std::move(ranks)) {
    for (std::size_t n = 0; n < ranks_.size(); ++n) {
        const auto found = std::ranges::find(ranks_[n], rank);
        if (found == ranks_[n].end()) continue;
        node_ = static_cast<int>(n);
        index_ = static_cast<int>(found - ranks_[n].begin());
        return;
    }
    throw Error("nodes: rank " + std::to_string(rank) + " is on none of them");
}

int Nodes::largest() const {
    return static_cast<int>(std::ranges::max(ranks_, {}, &std::vector<int>::size).size());
}

int Nodes::smallest() const {
    return static_cast<int>(std::ranges::min(ranks_, {}, &std::vector<int>::size).size());
}

bool Nodes::in_order() const {
    int next = 0;
    return std::ranges::all_of(ranks_, [&](const auto& ranks) {
        return std::ranges::all_of(ranks, [&](int one) { return one == next++; });
    });
}

std::shared_ptr<const Nodes> nodes_of(const Communicator& communicator) {
    auto& known = state_of(communicator).nodes;
    if (!known) known = std::make_shared<const Nodes>(find_nodes(communicator), communicator.rank());
    return known;
}

Communicator by_node(const Communicator& communicator) {
    const auto nodes = nodes_of(communicator);
    if (nodes->in_order()) return communicator;
    std::vector<int> names;
    std::vector<std::vector<int>> numbered;
    int key = 0;
    for (int n = 0; n < nodes->count(); ++n) {
        numbered.emplace_back();
        for (const int rank : nodes->ranks_of(n)) {
            if (rank == communicator.rank()) key = static_cast<int>(names.size());
            numbered.back().push_back(static_cast<int>(names.size()));
            names.push_back(communicator.name(rank));
        }
    }
    Communicator ordered = communicator.split(0, key);
    state_of(ordered).names = std::move(names);
    state_of(ordered).nodes = std::make_shared<const Nodes>(std::move(numbered), key);
    return ordered;
}

}  // namespace lockstep
