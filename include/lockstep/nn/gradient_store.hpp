/// The gradients of the replicas that live on one rank, summed along the fixed tree while they are computed.
///
/// One flat array for each slot of the rank's fold plan: a replica writes its gradient where its slot is, and
/// finished neighbours merge at once. What remains is the rank's cover, ready to be reduced where it lies.
#pragma once

#include <lockstep/base/aligned_vector.hpp>
#include <lockstep/base/export.hpp>
#include <lockstep/base/shape.hpp>
#include <lockstep/comm/fixed_tree.hpp>
#include <lockstep/comm/replica_map.hpp>

#include <vector>

namespace lockstep {

/// Instantiated for float and double.
template <class Scalar>
class LOCKSTEP_EXPORT GradientStore {
  public:
    /// `cover`: where the arrays of the rank's cover are to lie, in memory that outlives the store; where it
    /// is empty they are the store's own.
    GradientStore(const ReplicaMap& map, int rank, Index values, const std::vector<Scalar*>& cover = {});

    Index values() const { return values_; }
    int hosted() const { return plan_.nodes(); }
    /// Where hosted replica i writes its gradients of the values from `offset` on. Overwritten, not added to.
    Scalar* leaf(int i, Index offset);
    /// Says that hosted replica i has written [begin, end); in the order of i for each such range.
    void push(int i, Index begin, Index end);
    /// How many values have been pushed since the store was made, over all hosted replicas.
    Index pushed() const { return pushed_; }
    /// The arrays of the rank's cover, from left to right.
    std::vector<Scalar*> cover();

  private:
    FoldPlan plan_;
    Index values_;
    Index pushed_ = 0;
    std::vector<AlignedVector<Scalar>> storage_;
    std::vector<Scalar*> slots_;
};

extern template class GradientStore<float>;
extern template class GradientStore<double>;

}  // namespace lockstep
