// The long sum: short form, long form and one rank give the same bits; the fast reduction gives nearly the
// same values.
#include <lockstep/base/error.hpp>
#include <lockstep/comm/replica_sum.hpp>

#include "support/mpi_values.hpp"

#include <gtest/gtest.h>

#include <memory>

namespace lockstep {
namespace {

using testing::contains;
using testing::error_of;
using testing::same_on_all_ranks;
using testing::tree_sum;
using testing::values_of_replica;
using testing::world_size;

/// The arrays of a rank: its replicas' values, folded into its cover.
template <class Scalar>
class Arrays {
  public:
    Arrays(const Communicator& communicator, const ReplicaMap& map, std::size_t count)
        : plan_(FoldPlan::of_leaves(map.all(), map.block(communicator.rank()))),
          block_(map.block(communicator.rank())),
          slots_(static_cast<std::size_t>(plan_.slots()), std::vector<Scalar>(count)) {}

    void fill(std::uint64_t seed) {
        for (int i = 0; i < plan_.nodes(); ++i) {
            auto top = static_cast<std::size_t>(plan_.slot(i));
            const auto values = values_of_replica<Scalar>(block_.begin + i, slots_[top].size(), seed);
            std::copy(values.begin(), values.end(), slots_[top].begin());
            for (int merges = plan_.merges_after(i); merges > 0; --merges, --top)
                for (std::size_t k = 0; k < values.size(); ++k) slots_[top - 1][k] += slots_[top][k];
        }
    }

    std::vector<Scalar*> cover() {
        std::vector<Scalar*> pointers;
        for (int k = 0; k < plan_.remaining(); ++k)
            pointers.push_back(slots_[static_cast<std::size_t>(k)].data());
        return pointers;
    }

    const std::vector<Scalar>& result() const { return slots_.front(); }

  private:
    FoldPlan plan_;
    ReplicaRange block_;
    std::vector<std::vector<Scalar>> slots_;
};

template <class Scalar>
std::vector<Scalar> expected_sum(int replicas, std::size_t count, std::uint64_t seed) {
    return tree_sum<Scalar>({0, replicas},
                            [&](int replica) { return values_of_replica<Scalar>(replica, count, seed); });
}

template <class Scalar>
void expect_bits_of_the_tree(ExchangeForm form, std::size_t count) {
    const Communicator world(MPI_COMM_WORLD);
    for (int replicas = std::max(4, world.size()); replicas <= 9; ++replicas) {
        const ReplicaMap map(replicas, world.size());
        Arrays<Scalar> arrays(world, map, count);
        ReplicaSum<Scalar> sum(world, map, arrays.cover(), static_cast<Index>(count), {.form = form});
        for (std::uint64_t call = 1; call <= 3; ++call) {
            arrays.fill(call);
            sum.start();
            sum.wait();
            ASSERT_EQ(arrays.result(), expected_sum<Scalar>(replicas, count, call))
                << replicas << " replicas, " << count << " values, call " << call;
        }
    }
}

TEST(ReplicaSum, ShortFormGivesTheBitsOfTheTree) {
    for (const std::size_t count : {1, 15, 1000}) {
        expect_bits_of_the_tree<float>(ExchangeForm::short_form, count);
        expect_bits_of_the_tree<double>(ExchangeForm::short_form, count);
    }
}

TEST(ReplicaSum, LongFormGivesTheSameBitsAsTheTreeAlsoWhereSlicesAreEmpty) {
    for (const std::size_t count : {1, 15, 17, 1000, 20011}) {
        expect_bits_of_the_tree<float>(ExchangeForm::long_form, count);
        expect_bits_of_the_tree<double>(ExchangeForm::long_form, count);
    }
}

TEST(ReplicaSum, TheChosenFormChangesNoBit) {
    for (const std::size_t count : {100, 4000})
        expect_bits_of_the_tree<float>(ExchangeForm::automatic, count);
}

TEST(ReplicaSum, SeveralMayBeUnderWay) {
    const Communicator world(MPI_COMM_WORLD);
    const ReplicaMap map(7, world.size());
    const std::vector<std::size_t> counts{5000, 3, 777, 64};
    std::vector<std::unique_ptr<Arrays<float>>> arrays;
    std::vector<std::unique_ptr<ReplicaSum<float>>> sums;
    for (std::size_t i = 0; i < counts.size(); ++i) {
        arrays.push_back(std::make_unique<Arrays<float>>(world, map, counts[i]));
        sums.push_back(std::make_unique<ReplicaSum<float>>(
            world, map, arrays[i]->cover(), static_cast<Index>(counts[i]),
            ReplicaSum<float>::Options{
                .form = i % 2 == 0 ? ExchangeForm::long_form : ExchangeForm::short_form,
                .number = static_cast<int>(i)}));
    }
    for (std::size_t i = 0; i < counts.size(); ++i) {
        arrays[i]->fill(i);
        sums[i]->start();
        for (std::size_t earlier = 0; earlier < i; ++earlier) sums[earlier]->poll();
    }
    for (std::size_t i = counts.size(); i-- > 0;) sums[i]->wait();
    for (std::size_t i = 0; i < counts.size(); ++i) {
        EXPECT_EQ(arrays[i]->result(), expected_sum<float>(7, counts[i], i)) << "sum " << i;
        EXPECT_TRUE(same_on_all_ranks(arrays[i]->result()));
    }
}

TEST(ReplicaSum, FastReductionIsClose) {
    const Communicator world(MPI_COMM_WORLD);
    const ReplicaMap map(9, world.size());
    Arrays<double> arrays(world, map, 1000);
    ReplicaSum<double> sum(world, map, arrays.cover(), 1000, {.reduction = Reduction::fast});
    for (std::uint64_t call = 1; call <= 2; ++call) {
        arrays.fill(call);
        sum.start();
        sum.wait();
        const auto expected = expected_sum<double>(9, 1000, call);
        for (std::size_t i = 0; i < expected.size(); ++i)
            ASSERT_NEAR(arrays.result()[i], expected[i], 1e-9 * (1 + std::abs(expected[i])));
        EXPECT_TRUE(same_on_all_ranks(arrays.result()));
    }
}

TEST(ReplicaSum, AMissingRankIsAnErrorAfterTheTimeout) {
    if (world_size() == 1) return;
    const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 0.5});
    const ReplicaMap map(world.size(), world.size());
    Arrays<float> arrays(world, map, 4000);
    arrays.fill(1);
    if (world.rank() != 0) {
        const testing::Watch watch;
        ReplicaSum<float> sum(world, map, arrays.cover(), 4000, {.number = 3});
        const std::string text = error_of<CommunicationError>([&] {
            sum.start();
            sum.wait();
        });
        EXPECT_TRUE(contains(text, "part 3")) << text;
        EXPECT_LT(watch.seconds(), 5.0);
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

TEST(ReplicaSum, WrongUseIsRefused) {
    const Communicator world(MPI_COMM_WORLD);
    const ReplicaMap map(world.size(), world.size());
    EXPECT_THROW(ReplicaSum<float>(world, map, {}, 10, {}), Error);
}

}  // namespace
}  // namespace lockstep
