// The long sum in messages: short form, long form, halves and one rank give the same bits.
#include <lockstep/base/error.hpp>
#include <lockstep/comm/replica_sum.hpp>

#include "support/mpi_values.hpp"
#include "support/replica_arrays.hpp"

#include <gtest/gtest.h>

#include <memory>

namespace lockstep {
namespace {

using testing::contains;
using testing::error_of;
using testing::expected_sum;
using testing::ReplicaArrays;
using testing::same_on_all_ranks;
using testing::world_size;

/// Of the arrays that a rank has, each rank for itself.
template <class Scalar>
std::unique_ptr<ReplicaSum<Scalar>> sum_of(const Communicator& communicator, const ReplicaMap& map,
                                           const ReplicaArrays<Scalar>& arrays, std::size_t count,
                                           typename ReplicaSum<Scalar>::Options options = {}) {
    return std::make_unique<ReplicaSum<Scalar>>(communicator, parties_of(map), arrays.cover(),
                                                arrays.cover().front(), static_cast<Index>(count),
                                                next_sum(communicator), arrays.owner(), options);
}

template <class Scalar>
void expect_bits_of_the_tree(const typename ReplicaSum<Scalar>::Options& options, std::size_t count) {
    const Communicator world(MPI_COMM_WORLD);
    for (int replicas = std::max(4, world.size()); replicas <= 9; ++replicas) {
        const ReplicaMap map(replicas, world.size());
        ReplicaArrays<Scalar> arrays(world, map, count);
        const auto sum = sum_of(world, map, arrays, count, options);
        for (std::uint64_t call = 1; call <= 3; ++call) {
            arrays.fill(call);
            sum->start();
            sum->wait();
            ASSERT_EQ(arrays.first(), expected_sum<Scalar>(replicas, count, call))
                << replicas << " replicas, " << count << " values, call " << call;
        }
    }
}

TEST(ReplicaSum, ShortFormGivesTheBitsOfTheTree) {
    for (const std::size_t count : {1, 15, 1000}) {
        expect_bits_of_the_tree<float>({.form = ExchangeForm::short_form}, count);
        expect_bits_of_the_tree<double>({.form = ExchangeForm::short_form}, count);
    }
}

TEST(ReplicaSum, LongFormGivesTheSameBitsAsTheTreeAlsoWhereSlicesAreEmpty) {
    for (const std::size_t count : {1, 15, 17, 1000, 20011}) {
        expect_bits_of_the_tree<float>({.form = ExchangeForm::long_form}, count);
        expect_bits_of_the_tree<double>({.form = ExchangeForm::long_form}, count);
    }
}

// As many ranks go: few at once, then in halves.
TEST(ReplicaSum, HalvesGiveTheSameBitsToo) {
    for (const int base : {1, 2, 3})
        for (const std::size_t count : {1, 100, 20011}) {
            expect_bits_of_the_tree<float>({.form = ExchangeForm::long_form, .flat = 1, .base = base}, count);
            expect_bits_of_the_tree<double>({.form = ExchangeForm::long_form, .flat = 1, .base = base},
                                            count);
        }
}

TEST(ReplicaSum, TheChosenFormChangesNoBit) {
    for (const std::size_t count : {100, 4000})
        expect_bits_of_the_tree<float>({.form = ExchangeForm::automatic}, count);
}

TEST(ReplicaSum, SeveralMayBeUnderWay) {
    const Communicator world(MPI_COMM_WORLD);
    const ReplicaMap map(7, world.size());
    const std::vector<std::size_t> counts{5000, 3, 777, 64};
    std::vector<std::unique_ptr<ReplicaArrays<float>>> arrays;
    std::vector<std::unique_ptr<ReplicaSum<float>>> sums;
    for (std::size_t i = 0; i < counts.size(); ++i) {
        arrays.push_back(std::make_unique<ReplicaArrays<float>>(world, map, counts[i]));
        sums.push_back(sum_of(
            world, map, *arrays[i], counts[i],
            {.form = i % 2 == 0 ? ExchangeForm::long_form : ExchangeForm::short_form, .flat = 1, .base = 1}));
    }
    for (std::size_t i = 0; i < counts.size(); ++i) {
        arrays[i]->fill(i);
        sums[i]->start();
        for (std::size_t earlier = 0; earlier < i; ++earlier) sums[earlier]->poll();
    }
    for (std::size_t i = counts.size(); i-- > 0;) sums[i]->wait();
    for (std::size_t i = 0; i < counts.size(); ++i) {
        EXPECT_EQ(arrays[i]->first(), expected_sum<float>(7, counts[i], i)) << "sum " << i;
        EXPECT_TRUE(same_on_all_ranks(arrays[i]->first()));
    }
}

TEST(ReplicaSum, AMissingRankIsAnErrorAfterTheTimeout) {
    if (world_size() == 1) return;
    const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 0.5});
    const ReplicaMap map(world.size(), world.size());
    ReplicaArrays<float> arrays(world, map, 4000);
    arrays.fill(1);
    const auto first = sum_of(world, map, arrays, 4000), sum = sum_of(world, map, arrays, 4000);
    if (world.rank() != 0) {
        const testing::Watch watch;
        const std::string text = error_of<CommunicationError>([&] {
            sum->start();
            sum->wait();
        });
        EXPECT_TRUE(contains(text, "part 1")) << text;
        EXPECT_LT(watch.seconds(), 5.0);
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

TEST(ReplicaSum, RanksThatStartSumsInAnotherOrderNeverMixThem) {
    const Communicator world(MPI_COMM_WORLD);
    const ReplicaMap map(world.size(), world.size());
    for (const ExchangeForm form : {ExchangeForm::short_form, ExchangeForm::long_form}) {
        ReplicaArrays<float> a(world, map, 500), b(world, map, 500);
        const auto sum_a = sum_of(world, map, a, 500, {.form = form}),
                   sum_b = sum_of(world, map, b, 500, {.form = form});
        a.fill(1);
        b.fill(2);
        const bool odd = world.rank() % 2 != 0;
        (odd ? sum_b : sum_a)->start();
        (odd ? sum_a : sum_b)->start();
        while (!sum_a->poll() || !sum_b->poll()) {
        }
        EXPECT_EQ(a.first(), expected_sum<float>(world.size(), 500, 1));
        EXPECT_EQ(b.first(), expected_sum<float>(world.size(), 500, 2));
    }
}

TEST(ReplicaSum, WrongUseIsRefused) {
    const Communicator world(MPI_COMM_WORLD);
    const ReplicaMap map(world.size(), world.size());
    EXPECT_THROW(ReplicaSum<float>(world, parties_of(map), {}, nullptr, 10, 0, nullptr, {}), Error);
}

}  // namespace
}  // namespace lockstep
