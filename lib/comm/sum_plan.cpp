#include <lockstep/comm/sum_plan.hpp>

#include <lockstep/comm/fixed_tree.hpp>

#include <algorithm>
#include <utility>

namespace lockstep {
namespace {

/// The parties begin … end − 1.
struct Stretch {
    int begin;
    int end;

    int size() const { return end - begin; }
    bool contains(int party) const { return begin <= party && party < end; }
};

ArraySlice common(ArraySlice a, ArraySlice b) {
    return {std::max(a.begin, b.begin), std::min(a.end, b.end)};
}

class Planner {
  public:
    Planner(std::span<const ReplicaRange> parties, Index count, Index alignment,
            const SumPlanOptions& options)
        : parties_(parties),
          count_(count),
          alignment_(alignment),
          flat_(options.form == SumForm::everything || all().size() <= options.flat
                    ? all().size()
                    : std::max(1, options.base)),
          everything_(options.form == SumForm::everything) {}

    std::vector<SumLevel> plan(int me) const {
        std::vector<SumLevel> levels;
        for (Stretch joined = all(); joined.size() > 1;) {
            levels.push_back(level(joined, me));
            const std::vector<Stretch> parts = parts_of(joined);
            joined = *std::ranges::find_if(parts, [me](Stretch part) { return part.contains(me); });
        }
        std::ranges::reverse(levels);
        return levels;
    }

  private:
    Stretch all() const { return {0, static_cast<int>(parties_.size())}; }

    /// What is joined to become this stretch: its parties, or its halves, of which the left one may be longer by one.
    std::vector<Stretch> parts_of(Stretch joined) const {
        std::vector<Stretch> parts;
        if (joined.size() <= flat_) {
            for (int party = joined.begin; party < joined.end; ++party) parts.push_back({party, party + 1});
            return parts;
        }
        const int middle = joined.begin + (joined.size() + 1) / 2;
        return {{joined.begin, middle}, {middle, joined.end}};
    }

    /// Which slice a party has of the stretch's array: those of the parts are dealt out in turns.
    int place(Stretch joined, int party) const {
        if (joined.size() <= flat_) return party - joined.begin;
        const std::vector<Stretch> halves = parts_of(joined);
        return halves[0].contains(party) ? 2 * place(halves[0], party) : 2 * place(halves[1], party) + 1;
    }

    ArraySlice slice(Stretch joined, int party) const {
        if (joined.size() == 1 || everything_) return {0, count_};
        const Index units = (count_ + alignment_ - 1) / alignment_;
        const auto boundary = [&](Index p) {
            return std::min(count_, p * units / joined.size() * alignment_);
        };
        const int at = place(joined, party);
        return {boundary(at), boundary(at + 1)};
    }

    std::vector<ReplicaRange> cover(Stretch part) const {
        return tree_cover({parties_.front().begin, parties_.back().end},
                          {parties_[static_cast<std::size_t>(part.begin)].begin,
                           parties_[static_cast<std::size_t>(part.end - 1)].end});
    }

    SumLevel level(Stretch joined, int me) const {
        const std::vector<Stretch> parts = parts_of(joined);
        SumLevel level;
        level.after = slice(joined, me);
        level.returns = !everything_;
        for (std::size_t i = 0; i < parts.size(); ++i) {
            level.parts.push_back({cover(parts[i]), {}});
            if (!parts[i].contains(me)) continue;
            level.own = i;
            level.before = slice(parts[i], me);
        }
        // Each begins with its right-hand neighbour, so that not all of them send to the same one first.
        for (int offset = 1; offset < joined.size(); ++offset) {
            const int other = joined.begin + (me - joined.begin + offset) % joined.size();
            const auto part = static_cast<std::size_t>(
                std::ranges::find_if(parts, [other](Stretch one) { return one.contains(other); }) -
                parts.begin());
            if (part == level.own) continue;
            const ArraySlice out = common(level.before, slice(joined, other));
            const ArraySlice in = common(level.after, slice(parts[part], other));
            if (!out.empty()) level.send.push_back({other, out});
            if (!in.empty()) level.parts[part].receive.push_back({other, in});
        }
        return level;
    }

    std::span<const ReplicaRange> parties_;
    Index count_;
    Index alignment_;
    int flat_;
    bool everything_;
};

}  // namespace

std::vector<SumLevel> plan_sum(std::span<const ReplicaRange> parties, int me, Index count, Index alignment,
                               const SumPlanOptions& options) {
    return Planner(parties, count, alignment, options).plan(me);
}

}  // namespace lockstep
