#include <lockstep/comm/exchange_plan.hpp>
#include <lockstep/comm/fixed_tree.hpp>

#include <algorithm>
#include <bit>

namespace lockstep {
namespace {

/// Neighbours that swap covers in one stage of the butterfly.
constexpr int radix = 8;

/// The ranks begin … end − 1.
struct RankRange {
    int begin;
    int end;
};

/// Plans for the ranks that share one tree. Members count among them, from 0.
class Planner {
  public:
    Planner(const ReplicaMap& map, ReplicaRange tree)
        : map_(map),
          tree_(tree),
          first_(map.rank_of(tree.begin)),
          members_(map.rank_of(tree.end - 1) - first_ + 1) {}

    std::vector<ExchangeStage> plan(int rank, int direct_ranks) const {
        const int me = rank - first_;
        if (members_ <= std::max(1, direct_ranks)) return {everybody(me)};
        std::vector<ExchangeStage> stages;
        const bool paired = me < 2 * pairs();
        if (paired && me % 2 == 1) {  // joins through its neighbour, and gets the result from it
            stages.push_back({0, {first_ + me - 1}, {part(me, {me, me + 1})}});
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
        if (paired) stages.push_back({last_number(), {first_ + me + 1}, {part(me, {0, members_})}});
        return stages;
    }

  private:
    int participants() const { return static_cast<int>(std::bit_floor(static_cast<unsigned>(members_))); }
    /// Of the stage in which partners get the result, after those of the butterfly.
    int last_number() const {
        int number = 1;
        for (int stride = 1; stride < participants(); stride *= radix) ++number;
        return number;
    }
    int pairs() const { return members_ - participants(); }

    /// The members for whom the participants begin … end − 1 stand.
    RankRange members_of(int begin, int end) const {
        const auto member = [this](int position) {
            return position < pairs() ? 2 * position : position + pairs();
        };
        return {member(begin), member(end)};
    }

    /// What the given members' ranks host, brought by one of them.
    ExchangePart part(int bringer, RankRange members) const {
        const ReplicaRange replicas{map_.block(first_ + members.begin).begin,
                                    map_.block(first_ + members.end - 1).end};
        return {first_ + bringer, tree_cover(tree_, replicas)};
    }

    ExchangeStage everybody(int me) const {
        ExchangeStage stage{};
        for (int member = 0; member < members_; ++member)
            stage.parts.push_back(part(member, {member, member + 1}));
        // Each begins with its right-hand neighbour, so that not all of them send to the first one first.
        for (int offset = 1; offset < members_; ++offset)
            stage.send_to.push_back(first_ + (me + offset) % members_);
        return stage;
    }

    /// Participants whose positions differ in one digit alone swap what they stand for.
    ExchangeStage swap(int me, int position, int stride, int width) const {
        ExchangeStage stage{};
        const int block = position / (stride * width) * (stride * width);
        const int digit = (position - block) / stride;
        const auto other = [&](int d) { return block + d * stride + position % stride; };
        for (int d = 0; d < width; ++d) {
            const RankRange stretch = members_of(block + d * stride, block + (d + 1) * stride);
            const int bringer = d == digit ? me : members_of(other(d), other(d) + 1).begin;
            stage.parts.push_back(part(bringer, stretch));
        }
        for (int offset = 1; offset < width; ++offset) {
            const int position_of_other = other((digit + offset) % width);
            stage.send_to.push_back(first_ + members_of(position_of_other, position_of_other + 1).begin);
        }
        return stage;
    }

    const ReplicaMap& map_;
    ReplicaRange tree_;
    int first_;
    int members_;
};

}  // namespace

std::vector<ExchangeStage> plan_exchange(const ReplicaMap& map, ReplicaRange tree, int rank,
                                         int direct_ranks) {
    return Planner(map, tree).plan(rank, direct_ranks);
}

}  // namespace lockstep
