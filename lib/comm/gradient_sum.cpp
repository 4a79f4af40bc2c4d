#include <lockstep/comm/gradient_sum.hpp>

#include "cluster_sum.hpp"
#include "mpi_sum.hpp"
#include "node_sum.hpp"

#include <lockstep/comm/agreement.hpp>
#include <lockstep/comm/nodes.hpp>

#include <utility>

namespace lockstep {
namespace {

/// Each rank by itself.
Nodes lone_ranks(const Communicator& communicator) {
    std::vector<std::vector<int>> ranks(static_cast<std::size_t>(communicator.size()));
    for (int rank = 0; rank < communicator.size(); ++rank) ranks[static_cast<std::size_t>(rank)] = {rank};
    return {std::move(ranks), communicator.rank()};
}

template <class Scalar>
std::unique_ptr<GradientSum<Scalar>> in_shared_memory(const Communicator& communicator, const ReplicaMap& map,
                                                      Index values) {
    const auto nodes = nodes_of(communicator);
    if (nodes->count() == 1) return NodeSum<Scalar>::create(communicator, map, values);
    if (nodes->largest() == 1 || !nodes->in_order()) return nullptr;
    return ClusterSum<Scalar>::create(communicator, map, values, *nodes);
}

}  // namespace

template <class Scalar>
std::unique_ptr<GradientSum<Scalar>> GradientSum<Scalar>::create(const Communicator& communicator,
                                                                 const ReplicaMap& map, Index values,
                                                                 const GradientSumOptions& options) {
    const bool fast = options.reduction == Reduction::fast;
    // A rank that means another sum than the others would read beyond their arrays.
    check_agreement(communicator, "a sum over replicas",
                    {{"values", std::to_string(values)},
                     {"bytes of a value", std::to_string(sizeof(Scalar))},
                     {"replicas", std::to_string(map.replicas())},
                     {"reduction", fast ? "fast" : "reproducible"},
                     {"path", options.path == GradientPath::messages ? "messages" : "automatic"}});
    if (fast) return std::make_unique<MpiSum<Scalar>>(communicator, map, values);
    // A rank alone has its sum already: nothing to add, and no message to send.
    if (communicator.size() > 1 && options.path == GradientPath::automatic)
        if (auto sum = in_shared_memory<Scalar>(communicator, map, values)) return sum;
    return ClusterSum<Scalar>::create(communicator, map, values, lone_ranks(communicator));
}

template class GradientSum<float>;
template class GradientSum<double>;

}  // namespace lockstep
