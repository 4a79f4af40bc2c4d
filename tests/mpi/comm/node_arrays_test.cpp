// Arrays that the ranks of a node own together: what is written where is seen by whom, and nothing is left of them.
#include <lockstep/base/error.hpp>
#include <lockstep/comm/node_arrays.hpp>
#include <lockstep/comm/nodes.hpp>

#include "support/mpi_values.hpp"
#include "support/ranks_per_node.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <numeric>
#include <string>

namespace lockstep {
namespace {

using testing::contains;
using testing::error_of;

constexpr Index values = 5000;

struct Two {
    PagedArray<double> first{values};
    PagedArray<double> second{3};

    Two() {
        std::iota(first.begin(), first.end(), 1.0);
        std::fill(second.begin(), second.end(), -2.0);
    }
    std::unique_ptr<NodeArrays> share(const Communicator& communicator) {
        return NodeArrays::share(communicator, {&first.memory(), &second.memory()});
    }
};

#ifdef __linux__

TEST(NodeArrays, HoldWhatTheRanksHadWhereTheyHadIt) {
    const Communicator world(MPI_COMM_WORLD);
    Two arrays;
    const double* const place = arrays.first.data();
    const auto node = arrays.share(world);
    EXPECT_EQ(node != nullptr, world.size() > 1);
    EXPECT_EQ(arrays.first.data(), place);
    for (Index i = 0; i < values; ++i)
        ASSERT_EQ(arrays.first[static_cast<std::size_t>(i)], static_cast<double>(i + 1));
    EXPECT_EQ(arrays.second[2], -2.0);
    if (node) {
        EXPECT_EQ(node->node<double>(0)[values - 1], static_cast<double>(values));
        EXPECT_FALSE(node->was_written());
    }
}

TEST(NodeArrays, EachValueIsInOneRanksShare) {
    const Communicator world(MPI_COMM_WORLD);
    if (world.size() == 1) return;
    for (const Index size : {Index{0}, Index{1}, Index{512}, Index{513}, values}) {
        PagedArray<double> array(size);
        const auto node = NodeArrays::share(world, {&array.memory()});
        ASSERT_TRUE(node);
        const auto mine = node->share_of<double>(size);
        for (Index i = mine.begin; i < mine.end; ++i) node->node<double>(0)[i] += 1;
        node->meet("the test");
        EXPECT_EQ(std::ranges::count(array, 1.0), size);
        node->meet("the end of the test");
    }
}

TEST(NodeArrays, WhatARankWritesWhereItSeesIsItsOwnUntilItIsPublished) {
    const Communicator world(MPI_COMM_WORLD);
    if (world.size() == 1) return;
    Two arrays;
    const auto node = arrays.share(world);
    ASSERT_TRUE(node);
    // Every rank writes its number to the whole array.
    std::fill(arrays.first.begin(), arrays.first.end(), 100.0 + world.rank());
    node->meet("writing");
    EXPECT_EQ(std::ranges::count(arrays.first, 100.0 + world.rank()), values);
    EXPECT_EQ(node->node<double>(0)[7], 8.0);
    EXPECT_TRUE(node->was_written());
    node->meet("looking");
    node->publish();
    node->meet("publishing");
    EXPECT_EQ(std::ranges::count(arrays.first, 100.0 + world.rank()), values);
    node->renew();
    EXPECT_FALSE(node->was_written());
    Index found = 0;
    for (int rank = 0; rank < world.size(); ++rank) found += std::ranges::count(arrays.first, 100.0 + rank);
    EXPECT_EQ(found, values);
    const auto mine = node->share_of<double>(values);
    EXPECT_EQ(
        std::count(arrays.first.begin() + mine.begin, arrays.first.begin() + mine.end, 100.0 + world.rank()),
        mine.end - mine.begin);
    EXPECT_EQ(arrays.second[0], -2.0);
}

TEST(NodeArrays, ToWriteTheSameValueIsToWrite) {
    const Communicator world(MPI_COMM_WORLD);
    if (world.size() == 1) return;
    Two arrays;
    const auto node = arrays.share(world);
    ASSERT_TRUE(node);
    for (const std::size_t place : {std::size_t{0}, static_cast<std::size_t>(values - 1)}) {
        EXPECT_FALSE(node->was_written());
        volatile double* const value = arrays.first.data() + place;
        *value = *value;
        EXPECT_TRUE(node->was_written());
        node->meet("writing");
        node->renew();
    }
    *node->node<double>(1) = 3;  // by all
    node->meet("writing the node's");
    EXPECT_EQ(arrays.second[0], 3);
    EXPECT_FALSE(node->was_written());
}

TEST(NodeArrays, MeetingsBringNumbers) {
    const Communicator world(MPI_COMM_WORLD);
    if (world.size() == 1) return;
    Two arrays;
    const auto node = arrays.share(world);
    ASSERT_TRUE(node);
    for (std::uint64_t meeting = 0; meeting < 200; ++meeting) {
        const auto rank = static_cast<std::uint64_t>(world.rank());
        const auto& brought = node->meet("meeting", {meeting, rank, 7});
        ASSERT_EQ(std::ssize(brought), world.size());
        for (std::size_t one = 0; one < brought.size(); ++one)
            ASSERT_EQ(brought[one], (NodeArrays::Brought{meeting, one, 7}));
    }
    const auto text = [](std::uint64_t number) { return "no. " + std::to_string(number); };
    EXPECT_NO_THROW(node->require_same("the meeting", 0, text));
    const std::string error = error_of<CommunicationError>([&] { node->require_same("the rank", 1, text); });
    EXPECT_TRUE(contains(error, "the ranks do not agree on the rank: no. 0 on rank 0; no. 1 on rank 1"))
        << error;
}

TEST(NodeArrays, AreOfOneNodeEach) {
    const Communicator world(MPI_COMM_WORLD);
    if (world.size() < 3) return;
    const testing::RanksPerNode two(2);
    const Communicator other(MPI_COMM_WORLD);
    Two arrays;
    const auto node = arrays.share(other);
    ASSERT_TRUE(node);
    const auto mine = node->share_of<double>(values);
    std::fill(node->node<double>(0) + mine.begin, node->node<double>(0) + mine.end,
              10.0 + nodes_of(other)->node());
    node->meet("writing");
    EXPECT_EQ(std::ranges::count(arrays.first, 10.0 + nodes_of(other)->node()), values);
    node->meet("looking");
}

TEST(NodeArrays, LeaveNoFileOpenButTheOneThatTellsWhatWasWritten) {
    const Communicator world(MPI_COMM_WORLD);
    nodes_of(world);
    const auto files = [] {
        const std::filesystem::directory_iterator open("/proc/self/fd");
        return std::distance(begin(open), end(open));
    };
    const auto before = files();
    Two arrays;
    auto node = arrays.share(world);
    EXPECT_EQ(files(), before + (world.size() > 1));
    node.reset();
    EXPECT_EQ(files(), before);
}

#endif

TEST(NodeArrays, OtherSizesOnOneRankAreNamed) {
    const Communicator world(MPI_COMM_WORLD);
    if (world.size() == 1) return;
    PagedArray<double> array(world.rank() == 0 ? 10 : 11);
    const std::string text =
        error_of<CommunicationError>([&] { NodeArrays::share(world, {&array.memory()}); });
    EXPECT_TRUE(contains(text, "bytes of array 0: 80 on rank 0; 88 on rank 1")) << text;
}

}  // namespace
}  // namespace lockstep
