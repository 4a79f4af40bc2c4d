#include <lockstep/base/error.hpp>
#include <lockstep/base/random.hpp>
#include <lockstep/nn/gradient_store.hpp>

#include <gtest/gtest.h>

#include <algorithm>

#include <utility>
#include <vector>

namespace lockstep {
namespace {

using Array = std::vector<float>;
constexpr Index values = 37;

Array replica_gradient(int replica) {
    RandomStream random(3, RandomPurpose::test, static_cast<std::uint64_t>(replica));
    Array gradient(values);
    for (float& value : gradient) value = static_cast<float>(random.normal());
    return gradient;
}

/// tree(begin, end) of the design, word by word.
Array tree_sum(int begin, int end) {
    if (end - begin == 1) return replica_gradient(begin);
    const int middle = begin + (end - begin) / 2;
    Array left = tree_sum(begin, middle);
    const Array right = tree_sum(middle, end);
    for (std::size_t i = 0; i < left.size(); ++i) left[i] += right[i];
    return left;
}

/// Lets every hosted replica write its gradient, in two ranges and last range first, as backward does.
void write_gradients(GradientStore<float>& store, ReplicaRange hosted) {
    for (const auto& [begin, end] : {std::pair<Index, Index>{20, values}, {0, 20}})
        for (int i = 0; i < store.hosted(); ++i) {
            const Array gradient = replica_gradient(hosted.begin + i);
            std::copy(gradient.begin() + begin, gradient.begin() + end, store.leaf(i, begin));
            store.push(i, begin, end);
        }
}

TEST(GradientStore, SumsAllReplicasOfOneRankAlongTheTree) {
    for (const int replicas : {1, 2, 3, 5, 6, 8, 13, 64}) {
        const ReplicaMap map(replicas, 1);
        GradientStore<float> store(map, 0, values);
        for (int pass = 0; pass < 2; ++pass) {  // the second must not see the first
            write_gradients(store, map.all());
            ASSERT_EQ(store.cover().size(), 1u);
            EXPECT_EQ(Array(store.cover()[0], store.cover()[0] + values), tree_sum(0, replicas));
        }
    }
}

TEST(GradientStore, LeavesTheCoverOfItsBlock) {
    const ReplicaMap map(13, 3);
    for (int rank = 0; rank < 3; ++rank) {
        GradientStore<float> store(map, rank, values);
        write_gradients(store, map.block(rank));
        const auto nodes = tree_cover(map.all(), map.block(rank));
        ASSERT_EQ(store.cover().size(), nodes.size());
        for (std::size_t k = 0; k < nodes.size(); ++k)
            EXPECT_EQ(Array(store.cover()[k], store.cover()[k] + values),
                      tree_sum(nodes[k].begin, nodes[k].end));
    }
}

TEST(GradientStore, LeavesTheCoverInTheMemoryThatItIsGiven) {
    const ReplicaMap map(13, 3);
    for (int rank = 0; rank < 3; ++rank) {
        const auto nodes = tree_cover(map.all(), map.block(rank));
        std::vector<Array> memory(nodes.size(), Array(values));
        std::vector<float*> cover;
        for (Array& array : memory) cover.push_back(array.data());
        GradientStore<float> store(map, rank, values, cover);
        EXPECT_EQ(store.cover(), cover);
        write_gradients(store, map.block(rank));
        for (std::size_t k = 0; k < nodes.size(); ++k)
            EXPECT_EQ(memory[k], tree_sum(nodes[k].begin, nodes[k].end));
        cover.push_back(cover.front());
        EXPECT_THROW(GradientStore<float>(map, rank, values, cover), Error);
    }
}

}  // namespace
}  // namespace lockstep
