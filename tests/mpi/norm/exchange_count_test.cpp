// What a pass sends, counted through MPI's profiling interface: every MPI call that moves data comes through
// here.
#include <lockstep/comm/deadline.hpp>
#include <lockstep/comm/fixed_tree.hpp>
#include <lockstep/comm/nodes.hpp>
#include <lockstep/norm/sync_batch_norm.hpp>

#include "support/global_batch.hpp"
#include "support/mpi_values.hpp"
#include "support/ranks_per_node.hpp"

#include <gtest/gtest.h>
#include <mpi.h>

#include <optional>

namespace {

struct Count {
    int sends = 0;
    int collectives = 0;
    long long bytes = 0;
};
Count counted;
int communicators = 0;  // made, less those freed

}  // namespace

// Overrides of MPI's functions, each of which MPI also offers under its PMPI name.
extern "C" {

int MPI_Isend(const void* data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm,
              MPI_Request* request) {
    int size = 0;
    PMPI_Type_size(type, &size);
    ++counted.sends;
    counted.bytes += static_cast<long long>(count) * size;
    return PMPI_Isend(data, count, type, to, tag, comm, request);
}

#define LOCKSTEP_COUNT_SEND(Name)                                                                    \
    int MPI_##Name(const void* data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm) { \
        ++counted.sends;                                                                             \
        return PMPI_##Name(data, count, type, to, tag, comm);                                        \
    }
LOCKSTEP_COUNT_SEND(Send)
LOCKSTEP_COUNT_SEND(Ssend)
LOCKSTEP_COUNT_SEND(Rsend)
LOCKSTEP_COUNT_SEND(Bsend)

#define LOCKSTEP_COUNT_COLLECTIVE(Name, Parameters, Arguments) \
    int MPI_##Name Parameters {                                \
        ++counted.collectives;                                 \
        return PMPI_##Name Arguments;                          \
    }
LOCKSTEP_COUNT_COLLECTIVE(Barrier, (MPI_Comm comm), (comm))
LOCKSTEP_COUNT_COLLECTIVE(Ibarrier, (MPI_Comm comm, MPI_Request* request), (comm, request))
LOCKSTEP_COUNT_COLLECTIVE(Bcast, (void* data, int count, MPI_Datatype type, int root, MPI_Comm comm),
                          (data, count, type, root, comm))
LOCKSTEP_COUNT_COLLECTIVE(Reduce,
                          (const void* in, void* out, int count, MPI_Datatype type, MPI_Op op, int root,
                           MPI_Comm comm),
                          (in, out, count, type, op, root, comm))
LOCKSTEP_COUNT_COLLECTIVE(Allreduce,
                          (const void* in, void* out, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm),
                          (in, out, count, type, op, comm))
LOCKSTEP_COUNT_COLLECTIVE(Iallreduce,
                          (const void* in, void* out, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm,
                           MPI_Request* request),
                          (in, out, count, type, op, comm, request))
LOCKSTEP_COUNT_COLLECTIVE(Allgather,
                          (const void* in, int count, MPI_Datatype type, void* out, int counts,
                           MPI_Datatype types, MPI_Comm comm),
                          (in, count, type, out, counts, types, comm))
LOCKSTEP_COUNT_COLLECTIVE(Iallgather,
                          (const void* in, int count, MPI_Datatype type, void* out, int counts,
                           MPI_Datatype types, MPI_Comm comm, MPI_Request* request),
                          (in, count, type, out, counts, types, comm, request))
LOCKSTEP_COUNT_COLLECTIVE(Allgatherv,
                          (const void* in, int count, MPI_Datatype type, void* out, const int* counts,
                           const int* offsets, MPI_Datatype types, MPI_Comm comm),
                          (in, count, type, out, counts, offsets, types, comm))
LOCKSTEP_COUNT_COLLECTIVE(Iallgatherv,
                          (const void* in, int count, MPI_Datatype type, void* out, const int* counts,
                           const int* offsets, MPI_Datatype types, MPI_Comm comm, MPI_Request* request),
                          (in, count, type, out, counts, offsets, types, comm, request))
#define LOCKSTEP_COUNT_COMMUNICATOR(Name, Parameters, Arguments) \
    int MPI_##Name Parameters {                                  \
        ++counted.collectives;                                   \
        ++communicators;                                         \
        return PMPI_##Name Arguments;                            \
    }
LOCKSTEP_COUNT_COMMUNICATOR(Comm_dup, (MPI_Comm comm, MPI_Comm* duplicate), (comm, duplicate))
LOCKSTEP_COUNT_COMMUNICATOR(Comm_idup, (MPI_Comm comm, MPI_Comm* duplicate, MPI_Request* request),
                            (comm, duplicate, request))
LOCKSTEP_COUNT_COMMUNICATOR(Comm_split, (MPI_Comm comm, int color, int key, MPI_Comm* part),
                            (comm, color, key, part))

int MPI_Comm_free(MPI_Comm* comm) {
    --communicators;
    return PMPI_Comm_free(comm);
}

}  // extern "C"

namespace lockstep {
namespace {

using testing::GlobalBatch;
using testing::world_size;

template <class Action>
Count count_of(Action action) {
    MPI_Barrier(MPI_COMM_WORLD);
    counted = {};
    action();
    const Count result = counted;
    MPI_Barrier(MPI_COMM_WORLD);
    return result;
}

void expect_one_exchange(const Count& count, int peers, long long doubles, const char* what) {
    EXPECT_EQ(count.sends, peers) << what << ": one message from each node to each other one";
    EXPECT_EQ(count.collectives, 0) << what;
    EXPECT_LE(count.bytes, peers * (64 + 8 * doubles)) << what << ": a label and the sums";
}

/// Of the calling rank in one exchange among so few nodes: the first rank of a node sends for all of it.
int messages_between_nodes(const Communicator& communicator) {
    const auto nodes = nodes_of(communicator);
    return nodes->index() == 0 ? nodes->count() - 1 : 0;
}

/// As how many tree nodes the replicas of the calling rank's node go to others.
long long cover_of_node(const Communicator& communicator) {
    const ReplicaMap map(communicator.size(), communicator.size());
    const std::vector<int>& mates = nodes_of(communicator)->mates();
    return std::ssize(tree_cover(map.all(), {mates.front(), mates.back() + 1}));
}

/// The parameter: how many ranks make a node.
class ExchangeCount : public ::testing::TestWithParam<int> {
  protected:
    static void SetUpTestSuite() { others = communicators; }
    static inline int others = 0;  // communicators that are not of these tests
    testing::RanksPerNode ranks_per_node_{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(RanksPerNode, ExchangeCount, ::testing::Values(1, 2, 3, 64));

TEST_P(ExchangeCount, TheCountersSeeWhatMpiIsAskedFor) {
    std::optional<Communicator> duplicate;
    const Count construction = count_of([&] { duplicate.emplace(MPI_COMM_WORLD); });
    EXPECT_EQ(construction.collectives, 3) << "all have come, nobody has given up, the duplicate";
    const Count gathering = count_of([&] { duplicate->all_gather("x", "test"); });
    EXPECT_EQ(gathering.collectives, 2) << "the lengths, the texts";
    EXPECT_EQ(gathering.sends, world_size() - 1) << "and labels, to know that all are at it";
}

TEST_P(ExchangeCount, EveryCommunicatorThatWasMadeIsFreedAfterItsLastHandle) {
    {
        const Communicator world(MPI_COMM_WORLD);
        const Communicator copy = world, part = world.split(world.rank() % 2, 0);
        SyncBatchNorm<float> on_copy(2, copy), on_part(2, part), on_self(2, Communicator::self());
        EXPECT_GE(communicators, others + 3);
        on_self.change_communicator(world);
    }
    // Ranks agree that it is over before they free one; they look at that whenever another is made.
    for (Deadline deadline(20); communicators > others && !deadline.passed();)
        const Communicator another(MPI_COMM_SELF);
    EXPECT_EQ(communicators, others);
}

TEST_P(ExchangeCount, ConstructionFreezingAndAChangeOfCommunicatorCostOneExchangeEach) {
    const Communicator world(MPI_COMM_WORLD), alone = Communicator::self();
    const SyncBatchNorm<float> first(2, world);  // makes the memory that the ranks of a node share
    const int peers = messages_between_nodes(world);
    // A hash in two parts, whether all are equal, a number.
    const long long comparison = 4 * cover_of_node(world);
    expect_one_exchange(count_of([&] { const SyncBatchNorm<float> layer(300, world); }), peers, comparison,
                        "construction");
    expect_one_exchange(
        count_of([&] { const SyncBatchNorm<float> layer(300, world, {.name = "bn"}, {.group = 1}); }), peers,
        comparison, "construction of groups");
    SyncBatchNorm<float> layer(300, Communicator::self());
    expect_one_exchange(count_of([&] { layer.change_communicator(world); }), peers, comparison, "change");
    expect_one_exchange(count_of([&] { layer.set_frozen(true); }), peers, comparison, "freezing");
    expect_one_exchange(count_of([&] { layer.change_communicator(alone); }), 0, 0, "a layer alone");
    expect_one_exchange(count_of([&] { layer.set_frozen(false); }), 0, 0, "a layer alone");
}

TEST_P(ExchangeCount, OneExchangeForwardOneBackwardNoneInInfer) {
    const Communicator world(MPI_COMM_WORLD);
    const GlobalBatch<float> batch(300, std::vector<Index>(static_cast<std::size_t>(world.size()), 4), 5);
    SyncBatchNorm<float> layer(300, world);
    const int peers = messages_between_nodes(world);
    const long long cover = cover_of_node(world);
    const BatchShape shape = batch.shape(0);
    std::vector<float> z(batch.length(0)), dx(batch.length(0));
    BatchMoments saved;
    for (int step = 0; step < 2; ++step) {
        expect_one_exchange(count_of([&] { layer.forward(batch.x.data(), z.data(), shape, saved); }), peers,
                            601 * cover, "forward");
        expect_one_exchange(
            count_of([&] { layer.backward(batch.x.data(), batch.dz.data(), dx.data(), shape, saved); }),
            peers, 600 * cover, "backward");
        expect_one_exchange(count_of([&] { layer.infer(batch.x.data(), z.data(), shape); }), 0, 0, "infer");
    }
    // A first layer whose dx nobody wants has nothing to exchange in backward.
    expect_one_exchange(
        count_of([&] { layer.backward_parameters(batch.x.data(), batch.dz.data(), shape, saved); }), 0, 0,
        "backward_parameters");
    layer.set_frozen(true);
    expect_one_exchange(count_of([&] {
                            layer.forward(batch.x.data(), z.data(), shape, saved);
                            layer.backward(batch.x.data(), batch.dz.data(), dx.data(), shape, saved);
                        }),
                        0, 0, "frozen");
}

TEST_P(ExchangeCount, LocalStatisticsExchangeNothing) {
    const Communicator world(MPI_COMM_WORLD);
    SyncBatchNorm<float> alone(2, Communicator::self());
    SyncBatchNorm<float> grouped(2, world, {}, {.group = 1});
    std::vector<float> x{1, 2, 3, 4}, z(4), dx(4);
    BatchMoments saved;
    for (auto* layer : {&alone, &grouped})
        expect_one_exchange(count_of([&] {
                                layer->forward(x.data(), z.data(), {2}, saved);
                                layer->backward(x.data(), z.data(), dx.data(), {2}, saved);
                            }),
                            0, 0, "local");
}

TEST_P(ExchangeCount, ReplicasThatShareARankAddNoMessages) {
    const Communicator world(MPI_COMM_WORLD);
    const int replicas = 4 * world.size();
    const GlobalBatch<float> batch(8, std::vector<Index>(static_cast<std::size_t>(replicas), 2));
    SyncBatchNorm<float> layer(8, world, {}, {.replicas = replicas});
    const ReplicaRange hosted = ReplicaMap(replicas, world.size()).block(world.rank());
    const Count count = count_of([&] { run_step(layer, batch, hosted); });
    EXPECT_EQ(count.sends, 2 * messages_between_nodes(world));
    EXPECT_EQ(count.collectives, 0);
}

}  // namespace
}  // namespace lockstep
