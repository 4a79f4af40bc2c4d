// Any communicator will do: itself alone, a part, a permutation, several at a time, another one at run time.
#include <lockstep/base/error.hpp>
#include <lockstep/norm/sync_batch_norm.hpp>

#include "support/global_batch.hpp"
#include "support/mpi_values.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <string>

namespace lockstep {
namespace {

using testing::GlobalBatch;
using testing::relative_distance;
using testing::same_on_all_ranks;
using testing::world_rank;
using testing::world_size;

std::vector<Index> sizes_of_ranks() {
    std::vector<Index> sizes;
    for (int rank = 0; rank < world_size(); ++rank) sizes.push_back(rank + 2);
    return sizes;
}

/// z of this rank's part, normalized over the ranks of `communicator`.
std::vector<float> forward_on(SyncBatchNorm<float>& layer, const GlobalBatch<float>& batch, int part) {
    std::vector<float> z(batch.length(part));
    BatchMoments saved;
    layer.forward(batch.part(batch.x, part), z, batch.shape(part), saved);
    return z;
}

/// What one process computes for `part` with the given parts as its batch.
std::vector<float> expected_on(const GlobalBatch<float>& batch, const std::vector<int>& parts, int part) {
    std::vector<Index> sizes;
    std::vector<float> x;
    for (const int p : parts) {
        const auto values = batch.part(batch.x, p);
        sizes.push_back(batch.sizes[static_cast<std::size_t>(p)]);
        x.insert(x.end(), values.begin(), values.end());
    }
    GlobalBatch<float> own(batch.channels, sizes, batch.spatial);
    own.x = x;
    const auto reference = testing::reference_batch_norm(own.x, {}, own.channels, own.whole(),
                                                         std::vector<float>(own.gamma.size(), 1.0F),
                                                         std::vector<float>(own.gamma.size(), 0.0F), 1e-5);
    std::vector<float> z(reference.z.begin(), reference.z.end());
    const auto at = std::find(parts.begin(), parts.end(), part) - parts.begin();
    return own.part(z, static_cast<int>(at));
}

TEST(Communicators, APartNormalizesOverItself) {
    const GlobalBatch<float> batch(3, sizes_of_ranks(), 4);
    MPI_Comm half = MPI_COMM_NULL;
    MPI_Comm_split(MPI_COMM_WORLD, world_rank() % 2, world_rank(), &half);
    SyncBatchNorm<float> layer(3, Communicator(half));
    MPI_Comm_free(&half);
    std::vector<int> parts;
    for (int rank = world_rank() % 2; rank < world_size(); rank += 2) parts.push_back(rank);
    const auto z = forward_on(layer, batch, world_rank());
    EXPECT_LE(relative_distance(z, expected_on(batch, parts, world_rank()), 1.0), 1e-5);
}

TEST(Communicators, RanksInAnotherOrderNormalizeAlike) {
    const GlobalBatch<float> batch(3, sizes_of_ranks(), 4);
    const Communicator world(MPI_COMM_WORLD);
    const Communicator reversed = world.split(0, -world.rank());
    SyncBatchNorm<float> layer(3, reversed);
    std::vector<int> parts(static_cast<std::size_t>(world_size()));
    std::iota(parts.begin(), parts.end(), 0);
    const auto z = forward_on(layer, batch, world_rank());
    EXPECT_LE(relative_distance(z, expected_on(batch, parts, world_rank()), 1.0), 1e-5);
    EXPECT_TRUE(same_on_all_ranks(layer.running_mean()));
    // The replica is the communicator's rank: replica r has the same bits wherever it lives.
    SyncBatchNorm<float> straight(3, world);
    const int part = world.size() - 1 - world.rank();
    forward_on(straight, batch, world_rank());
    SyncBatchNorm<float> relabeled(3, reversed);
    const auto again = forward_on(relabeled, batch, part);  // replica `reversed.rank()` is given its own data
    SyncBatchNorm<float> plain(3, world);
    forward_on(plain, batch, world.rank());
    EXPECT_TRUE(std::ranges::equal(relabeled.running_mean(), plain.running_mean()));
    EXPECT_TRUE(std::ranges::equal(relabeled.running_var(), plain.running_var()));
}

TEST(Communicators, OneThatSharesANodeWorks) {
    const GlobalBatch<float> batch(3, sizes_of_ranks());
    MPI_Comm node = MPI_COMM_NULL;
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
    SyncBatchNorm<float> layer(3, Communicator(node));
    MPI_Comm_free(&node);
    forward_on(layer, batch, world_rank());
    EXPECT_TRUE(same_on_all_ranks(layer.running_var()));
}

TEST(Communicators, SelfIsLocalAndLocalIsNotSync) {
    if (world_size() == 1) return;
    const GlobalBatch<float> batch(3, sizes_of_ranks(), 4);
    SyncBatchNorm<float> local(3, Communicator::self()), sync(3, Communicator(MPI_COMM_WORLD));
    const auto z = forward_on(local, batch, world_rank());
    EXPECT_LE(relative_distance(z, expected_on(batch, {world_rank()}, world_rank()), 1.0), 1e-5);
    EXPECT_GT(relative_distance(z, forward_on(sync, batch, world_rank())), 1e-2);
}

TEST(Communicators, SeveralLayersOnSeveralCommunicatorsLiveSideBySide) {
    const GlobalBatch<float> batch(3, sizes_of_ranks(), 4);
    const Communicator world(MPI_COMM_WORLD), second(MPI_COMM_WORLD);
    const Communicator parity = world.split(world.rank() % 2, world.rank());
    SyncBatchNorm<float> a(3, world), b(3, parity), c(3, second), d(3, Communicator::self());
    SyncBatchNorm<float> e(3, world);
    const std::set<std::string> names{a.name(), b.name(), c.name(), d.name(), e.name()};
    EXPECT_EQ(names.size(), 5u)
        << "no two layers without a name have the same, whatever communicator they are on";
    for (const auto* layer : {&a, &c, &e}) {
        const auto everywhere = world.all_gather(layer->name(), "names");
        EXPECT_EQ(std::ranges::count(everywhere, layer->name()), world.size()) << "but ranks have the same";
    }
    const auto first = forward_on(a, batch, world_rank());
    for (int step = 0; step < 3; ++step) {
        forward_on(b, batch, world_rank());
        EXPECT_EQ(forward_on(c, batch, world_rank()), first);
        forward_on(d, batch, world_rank());
        EXPECT_EQ(forward_on(e, batch, world_rank()), first);
    }
}

TEST(Communicators, LocalBecomesSynchronizedAndBack) {
    const GlobalBatch<float> batch(3, sizes_of_ranks(), 4);
    const Communicator world(MPI_COMM_WORLD);
    SyncBatchNorm<float> changing(3, Communicator::self()), local(3, Communicator::self()), sync(3, world);
    // Ranks that have made unlike numbers of calls on their own are alike again on the new communicator.
    for (int step = 0; step <= world_rank(); ++step) forward_on(changing, batch, world_rank());
    changing.change_communicator(world);
    EXPECT_EQ(forward_on(changing, batch, world_rank()), forward_on(sync, batch, world_rank()));
    changing.change_communicator(Communicator::self());
    EXPECT_EQ(forward_on(changing, batch, world_rank()), forward_on(local, batch, world_rank()));
    EXPECT_EQ(changing.averages().batches(), world_rank() + 3) << "γ, β and averages are kept";
}

TEST(Communicators, AFailedChangeLeavesTheLayerAsItWas) {
    const GlobalBatch<float> batch(3, sizes_of_ranks(), 4);
    const Communicator world(MPI_COMM_WORLD);
    SyncBatchNorm<float> layer(3, world), other(3, world);
    EXPECT_THROW(
        layer.change_communicator(world, {.replicas = 6 * world.size(), .group = 6 * world.size() - 1}),
        UsageError);
    EXPECT_EQ(forward_on(layer, batch, world_rank()), forward_on(other, batch, world_rank()));
}

}  // namespace
}  // namespace lockstep
