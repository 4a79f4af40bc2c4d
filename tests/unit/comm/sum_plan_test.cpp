// The plans of all parties, played through without MPI: what one sends the other awaits, the slices tile the array, and
// there are no more messages and bytes than promised.
#include <lockstep/comm/fixed_tree.hpp>
#include <lockstep/comm/replica_map.hpp>
#include <lockstep/comm/sum_plan.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <vector>

namespace lockstep {
namespace {

constexpr Index alignment = 16;

struct Case {
    int parties;
    int replicas;
    Index count;
    SumPlanOptions options;
};

using Plans = std::vector<std::vector<SumLevel>>;

Plans plans_of(const Case& one) {
    const ReplicaMap map(one.replicas, one.parties);
    std::vector<ReplicaRange> parties;
    for (int party = 0; party < one.parties; ++party) parties.push_back(map.block(party));
    Plans plans;
    for (int party = 0; party < one.parties; ++party)
        plans.push_back(plan_sum(parties, party, one.count, alignment, one.options));
    return plans;
}

/// Whether the slices, in any order, make up the whole without overlapping.
bool tile(ArraySlice whole, std::vector<ArraySlice> slices) {
    std::erase_if(slices, [](ArraySlice slice) { return slice.empty(); });
    std::ranges::sort(slices, {}, &ArraySlice::begin);
    Index reached = whole.begin;
    for (const ArraySlice slice : slices) {
        if (slice.begin != reached) return false;
        reached = slice.end;
    }
    return reached == whole.end || whole.empty();
}

std::vector<ArraySlice> slices_of(const std::vector<SliceMessage>& messages) {
    std::vector<ArraySlice> slices;
    for (const SliceMessage& message : messages) slices.push_back(message.slice);
    return slices;
}

/// How often the party sends the slice to the other, at whatever level.
int times_sent(const std::vector<SumLevel>& levels, int to, ArraySlice slice, std::size_t nodes) {
    int times = 0;
    for (const SumLevel& level : levels)
        for (const SliceMessage& message : level.send)
            times +=
                message.party == to && message.slice == slice && level.parts[level.own].nodes.size() == nodes;
    return times;
}

void check_levels(const Case& one, const Plans& plans, int party) {
    const auto& levels = plans[static_cast<std::size_t>(party)];
    const ReplicaRange tree{0, one.replicas};
    std::vector<ReplicaRange> have = tree_cover(tree, ReplicaMap(one.replicas, one.parties).block(party));
    ArraySlice slice{0, one.count};
    for (const SumLevel& level : levels) {
        EXPECT_EQ(level.before, slice);
        EXPECT_EQ(level.parts[level.own].nodes, have);
        if (level.returns) {
            std::vector<ArraySlice> all = slices_of(level.send);
            all.push_back(level.after);
            EXPECT_TRUE(tile(level.before, all)) << "what is sent and kept is not what there was";
        }
        std::vector<ReplicaRange> nodes;
        for (const SumPart& part : level.parts) {
            nodes.insert(nodes.end(), part.nodes.begin(), part.nodes.end());
            if (&part == &level.parts[level.own]) continue;
            EXPECT_TRUE(tile(level.after, slices_of(part.receive))) << "a part does not arrive";
            for (const SliceMessage& message : part.receive)
                EXPECT_EQ(times_sent(plans[static_cast<std::size_t>(message.party)], party, message.slice,
                                     part.nodes.size()),
                          1);
        }
        have = tree_cover(tree, {nodes.front().begin, nodes.back().end});
        slice = level.after;
    }
    EXPECT_EQ(have, std::vector<ReplicaRange>{tree});
}

std::size_t sent(const std::vector<SumLevel>& levels) {
    std::size_t messages = 0;
    for (const SumLevel& level : levels) messages += level.send.size();
    return messages;
}

std::size_t received(const std::vector<SumLevel>& levels) {
    std::size_t messages = 0;
    for (const SumLevel& level : levels)
        for (const SumPart& part : level.parts) messages += part.receive.size();
    return messages;
}

void check_plans(const Case& one) {
    SCOPED_TRACE(std::to_string(one.parties) + " parties, " + std::to_string(one.replicas) + " replicas, " +
                 std::to_string(one.count) + " values, flat " + std::to_string(one.options.flat));
    const Plans plans = plans_of(one);
    std::size_t all_sent = 0, all_received = 0;
    std::vector<ArraySlice> results;
    for (int party = 0; party < one.parties; ++party) {
        check_levels(one, plans, party);
        const auto& levels = plans[static_cast<std::size_t>(party)];
        all_sent += sent(levels);
        all_received += received(levels);
        if (!levels.empty()) results.push_back(levels.back().after);
    }
    EXPECT_EQ(all_sent, all_received);
    const bool divided = one.parties > 1 && one.options.form == SumForm::slices;
    EXPECT_TRUE(!divided || tile({0, one.count}, results));
}

constexpr Index long_array = alignment * 10000;

TEST(SumPlan, WhatIsSentIsAwaitedAndAllGetTheRoot) {
    for (int parties = 1; parties <= 21; ++parties)
        for (const int replicas : {parties, parties + 1, 2 * parties, 3 * parties + 1})
            for (const SumPlanOptions options :
                 {SumPlanOptions{}, SumPlanOptions{.flat = 1, .base = 1},
                  SumPlanOptions{.flat = 2, .base = 2}, SumPlanOptions{.flat = 3, .base = 3},
                  SumPlanOptions{.form = SumForm::everything}})
                for (const Index count : {Index{1}, Index{100}, long_array})
                    check_plans({parties, replicas, count, options});
}

TEST(SumPlan, ManyPartiesToo) {
    for (const int parties : {33, 48, 63, 64, 65, 100}) check_plans({parties, parties, long_array, {}});
}

TEST(SumPlan, MessagesGrowWithTheLogarithm) {
    std::vector<int> numbers{47, 48, 63, 64, 65, 100, 127, 128, 129, 255};
    for (int parties = 2; parties < 40; ++parties) numbers.push_back(parties);
    for (const int parties : numbers) {
        const int doublings = std::bit_width(static_cast<unsigned>(parties - 1));
        for (const auto& levels : plans_of({parties, parties, long_array, {}})) {
            // On the way down they go the other way round.
            EXPECT_LE(sent(levels) + received(levels), static_cast<std::size_t>(4 * doublings + 4))
                << parties << " parties";
        }
    }
}

Index values_sent(const std::vector<SumLevel>& levels) {
    Index values = 0;
    for (const SumLevel& level : levels) {
        for (const SliceMessage& message : level.send)
            values += message.slice.size() * std::ssize(level.parts[level.own].nodes);
        for (const SumPart& part : level.parts)
            for (const SliceMessage& message : part.receive) values += message.slice.size();  // the result
    }
    return values;
}

TEST(SumPlan, SendsNoMoreThanTheBestAllReduceWhereCoversAreOneNode) {
    for (const int parties : {2, 3, 4, 8, 16, 32, 64})
        for (const auto& levels : plans_of({parties, parties, long_array, {}}))
            EXPECT_LE(static_cast<double>(values_sent(levels)),
                      1.01 * 2 * (parties - 1) / parties * static_cast<double>(long_array))
                << parties << " parties";
}

}  // namespace
}  // namespace lockstep
