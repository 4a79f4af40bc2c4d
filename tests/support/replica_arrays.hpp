/// The arrays that a rank gives to a sum over replicas, filled with values that every rank can compute.
#pragma once

#include "support/mpi_values.hpp"

#include <lockstep/comm/fixed_tree.hpp>

#include <algorithm>
#include <memory>
#include <vector>

namespace lockstep::testing {

/// The values of a rank's replicas, folded into its cover.
template <class Scalar>
class ReplicaArrays {
  public:
    /// `cover`: where the arrays of the cover are to lie; memory of its own where it is empty.
    ReplicaArrays(const Communicator& communicator, const ReplicaMap& map, std::size_t count,
                  std::vector<Scalar*> cover = {})
        : plan_(FoldPlan::of_leaves(map.all(), map.block(communicator.rank()))),
          block_(map.block(communicator.rank())),
          count_(count),
          storage_(std::make_shared<std::vector<std::vector<Scalar>>>(static_cast<std::size_t>(plan_.slots()),
                                                                      std::vector<Scalar>(count))),
          slots_(std::move(cover)) {
        for (std::size_t k = slots_.size(); k < storage_->size(); ++k)
            slots_.push_back((*storage_)[k].data());
    }

    void fill(std::uint64_t seed) {
        for (int i = 0; i < plan_.nodes(); ++i) {
            const auto values = values_of_replica<Scalar>(block_.begin + i, count_, seed);
            std::copy(values.begin(), values.end(), slots_[static_cast<std::size_t>(plan_.slot(i))]);
            plan_.push(i, [this](int left, int right) {
                Scalar* const sum = slots_[static_cast<std::size_t>(left)];
                const Scalar* const other = slots_[static_cast<std::size_t>(right)];
                for (std::size_t k = 0; k < count_; ++k) sum[k] += other[k];
            });
        }
    }

    std::vector<Scalar*> cover() const { return {slots_.begin(), slots_.begin() + plan_.remaining()}; }
    /// For sums that may fail: what MPI still touches then.
    std::shared_ptr<void> owner() const { return storage_; }
    /// What the first array of the cover holds.
    std::vector<Scalar> first() const { return {slots_.front(), slots_.front() + count_}; }

  private:
    FoldPlan plan_;
    ReplicaRange block_;
    std::size_t count_;
    std::shared_ptr<std::vector<std::vector<Scalar>>> storage_;
    std::vector<Scalar*> slots_;
};

template <class Scalar>
std::vector<Scalar> expected_sum(int replicas, std::size_t count, std::uint64_t seed) {
    return tree_sum<Scalar>({0, replicas},
                            [&](int replica) { return values_of_replica<Scalar>(replica, count, seed); });
}

}  // namespace lockstep::testing
