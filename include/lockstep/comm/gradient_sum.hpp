/// Sums a long array over all replicas along the fixed tree, while backward, which completes it from its end, is still at
/// work.
///
/// How the ranks get each other's values is the business of what implements this; all but MPI's own give the same bits:
///   one node            in memory that the ranks share: NodeSum
///   several nodes       in shared memory, then in messages between the nodes: ClusterSum
///   no shared memory    in messages: ClusterSum, each rank being a node
///   Reduction::fast     MPI_Iallreduce, in the order of whatever MPI does: MpiSum
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/base/shape.hpp>
#include <lockstep/comm/communicator.hpp>
#include <lockstep/comm/replica_map.hpp>

#include <memory>
#include <string>
#include <vector>

namespace lockstep {

enum class Reduction { reproducible, fast };
/// How values get from rank to rank. `automatic` is memory where ranks can share it (see nodes_of) and the reduction is
/// reproducible, else messages.
enum class GradientPath { automatic, messages };

struct GradientSumOptions {
    Reduction reduction = Reduction::reproducible;
    GradientPath path = GradientPath::automatic;
};

/// One reusable sum of an array. Owns the arrays that it is taken of. Allocates only on construction. Instantiated for
/// float and double.
template <class Scalar>
class LOCKSTEP_EXPORT GradientSum {
  public:
    /// Collective. The ranks of a node should be neighbours (see by_node): where they are not, each is a node of its
    /// own. Throws CommunicationError on every rank if the ranks do not agree on sizes, replicas or options.
    static std::unique_ptr<GradientSum> create(const Communicator& communicator, const ReplicaMap& map,
                                               Index values, const GradientSumOptions& options = {});

    virtual ~GradientSum() = default;
    GradientSum(const GradientSum&) = delete;
    GradientSum& operator=(const GradientSum&) = delete;

    /// Where the rank writes what it gives: one array of all values for each node of its cover of tree(0, R), from left
    /// to right (see FoldPlan::of_leaves, whose remaining slots they are). They are its own to write from finish() on to
    /// ready().
    const std::vector<Scalar*>& cover() const { return cover_; }
    /// In words, for people: "in shared memory", "in messages".
    virtual std::string path() const = 0;

    /// Says that all values from `offset` on are complete; offsets never rise. Does not wait.
    virtual void ready(Index offset) = 0;
    /// Completes the sum and returns it, alike on all ranks, valid until the next ready(). Throws CommunicationError
    /// after the communicator's time-out.
    virtual const Scalar* finish() = 0;

  protected:
    GradientSum() = default;

    std::vector<Scalar*> cover_;
};

extern template class GradientSum<float>;
extern template class GradientSum<double>;

}  // namespace lockstep
