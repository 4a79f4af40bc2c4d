#include <lockstep/comm/exchange_plan.hpp>

#include <lockstep/base/error.hpp>
#include <lockstep/comm/fixed_tree.hpp>
#include <lockstep/comm/tags.hpp>

#include <algorithm>
#include <bit>
#include <utility>

namespace lockstep {
namespace {

/// Neighbours that swap covers in one stage of the butterfly.
constexpr int radix = 8;

/// The members begin … end − 1.
struct MemberRange {
    int begin;
    int end;
};

/// One that takes part: a rank, or a node's sender, which stands for its ranks.
struct Member {
    int rank;
    ReplicaRange replicas;
};

/// The ranks that host replicas of the tree, each by itself.
std::vector<Member> ranks_of(const ReplicaMap& map, ReplicaRange tree) {
    std::vector<Member> members;
    for (int rank = map.rank_of(tree.begin); rank <= map.rank_of(tree.end - 1); ++rank)
        members.push_back({rank, map.block(rank)});
    return members;
}

/// The same, node by node.
std::vector<std::vector<Member>> by_node(const std::vector<Member>& ranks, const Nodes* nodes) {
    std::vector<std::vector<Member>> members;
    if (nodes == nullptr || !nodes->in_order()) {
        for (const Member& one : ranks) members.push_back({one});
        return members;
    }
    auto next = ranks.begin();
    for (int node = 0; node < nodes->count(); ++node) {
        const auto end = std::find_if(
            next, ranks.end(),
            [last = nodes->ranks_of(node).back()](const Member& one) { return one.rank > last; });
        if (next != end) members.emplace_back(next, end);
        next = end;
    }
    return members;
}

/// Plans for the members that share one tree. They count from 0.
class Planner {
  public:
    Planner(ReplicaRange tree, std::vector<Member> all)
        : tree_(tree), all_(std::move(all)), members_(static_cast<int>(all_.size())) {}

    /// Of the member `me`.
    std::vector<ExchangeStage> plan(int me, int direct_ranks) const {
        if (members_ <= std::max(1, direct_ranks)) return {everybody(me)};
        std::vector<ExchangeStage> stages;
        const bool paired = me < 2 * pairs();
        if (paired && me % 2 == 1) {  // joins through its neighbour, and gets the result from it
            stages.push_back({0, {rank_of(me - 1)}, {part(me, {me, me + 1})}});
            stages.push_back({last_number(), {}, {part(me - 1, {0, members_})}});
            return stages;
        }
        if (paired) stages.push_back({0, {}, {part(me, {me, me + 1}), part(me + 1, {me + 1, me + 2})}});
        const int position = me < 2 * pairs() ? me / 2 : me - pairs();
        int number = 1;
        for (int stride = 1; stride < participants(); stride *= radix) {
            const int width = std::min(radix, participants() / stride);
            stages.push_back(swap(me, position, stride, width));
            stages.back().number = number++;
        }
        if (paired) stages.push_back({last_number(), {rank_of(me + 1)}, {part(me, {0, members_})}});
        return stages;
    }

  private:
    const Member& member(int i) const { return all_[static_cast<std::size_t>(i)]; }
    int rank_of(int i) const { return member(i).rank; }

    int participants() const { return static_cast<int>(std::bit_floor(static_cast<unsigned>(members_))); }
    /// Of the stage in which partners get the result, after those of the butterfly.
    int last_number() const {
        int number = 1;
        for (int stride = 1; stride < participants(); stride *= radix) ++number;
        return number;
    }
    int pairs() const { return members_ - participants(); }

    /// The members for whom the participants begin … end − 1 stand.
    MemberRange members_of(int begin, int end) const {
        const auto number = [this](int position) {
            return position < pairs() ? 2 * position : position + pairs();
        };
        return {number(begin), number(end)};
    }

    /// What the given members stand for, brought by one of them.
    ExchangePart part(int bringer, MemberRange members) const {
        return {rank_of(bringer), tree_cover(tree_, {member(members.begin).replicas.begin,
                                                     member(members.end - 1).replicas.end})};
    }

    ExchangeStage everybody(int me) const {
        ExchangeStage stage{};
        for (int member = 0; member < members_; ++member)
            stage.parts.push_back(part(member, {member, member + 1}));
        // Each begins with its right-hand neighbour, so that not all of them send to the first one first.
        for (int offset = 1; offset < members_; ++offset)
            stage.send_to.push_back(rank_of((me + offset) % members_));
        return stage;
    }

    /// Participants whose positions differ in one digit alone swap what they stand for.
    ExchangeStage swap(int me, int position, int stride, int width) const {
        ExchangeStage stage{};
        const int block = position / (stride * width) * (stride * width);
        const int digit = (position - block) / stride;
        const auto other = [&](int d) { return block + d * stride + position % stride; };
        for (int d = 0; d < width; ++d) {
            const MemberRange stretch = members_of(block + d * stride, block + (d + 1) * stride);
            const int bringer = d == digit ? me : members_of(other(d), other(d) + 1).begin;
            stage.parts.push_back(part(bringer, stretch));
        }
        for (int offset = 1; offset < width; ++offset) {
            const int position_of_other = other((digit + offset) % width);
            stage.send_to.push_back(rank_of(members_of(position_of_other, position_of_other + 1).begin));
        }
        return stage;
    }

    ReplicaRange tree_;
    std::vector<Member> all_;
    int members_;
};

/// In which senders give the result to the ranks of their nodes: after all others, whatever the tree.
constexpr int result_stage = tags::exchange.count - 1;

ExchangeStage stage_of(int number, std::vector<int> send_to, std::vector<ExchangePart> parts) {
    return {number, std::move(send_to), std::move(parts)};
}

/// A rank that is not its node's sender.
std::vector<ExchangeStage> plan_of_mate(ReplicaRange tree, const Member& me, int sender) {
    return {stage_of(0, {sender}, {{me.rank, tree_cover(tree, me.replicas)}}),
            stage_of(result_stage, {}, {{sender, {tree}}})};
}

/// Collects what the node's ranks bring, and sends the result of the others' stages to them.
std::vector<ExchangeStage> plan_of_sender(ReplicaRange tree, const std::vector<Member>& node,
                                          const std::vector<ExchangeStage>& among_senders) {
    std::vector<ExchangeStage> stages;
    const int me = node.front().rank;
    ExchangeStage first = stage_of(0, {}, {}), last = stage_of(result_stage, {}, {{me, {tree}}});
    for (const Member& one : node) {
        first.parts.push_back({one.rank, tree_cover(tree, one.replicas)});
        if (one.rank != me) last.send_to.push_back(one.rank);
    }
    if (node.size() > 1) stages.push_back(std::move(first));
    for (const ExchangeStage& stage : among_senders) {
        if (stage.number + 1 >= result_stage)
            throw Error("exchange plan: too many nodes for the tags set aside");
        stages.push_back(stage_of(stage.number + 1, stage.send_to, stage.parts));
    }
    if (node.size() > 1) stages.push_back(std::move(last));
    return stages;
}

}  // namespace

std::vector<ExchangeStage> plan_exchange(const ReplicaMap& map, ReplicaRange tree, int rank, int direct_ranks,
                                         const Nodes* nodes) {
    const std::vector<Member> ranks = ranks_of(map, tree);
    const auto members = by_node(ranks, nodes);
    if (members.size() == 1) return Planner(tree, ranks).plan(rank - ranks.front().rank, direct_ranks);
    std::vector<Member> senders;
    std::size_t mine = 0;
    for (std::size_t i = 0; i < members.size(); ++i) {
        const std::vector<Member>& node = members[i];
        senders.push_back({node.front().rank, {node.front().replicas.begin, node.back().replicas.end}});
        if (node.front().rank <= rank) mine = i;
    }
    const std::vector<Member>& node = members[mine];
    const int sender = node.front().rank;
    if (rank != sender) return plan_of_mate(tree, node[static_cast<std::size_t>(rank - sender)], sender);
    return plan_of_sender(tree, node,
                          Planner(tree, std::move(senders)).plan(static_cast<int>(mine), direct_ranks));
}

}  // namespace lockstep
