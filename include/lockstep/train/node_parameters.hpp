/// The parameters and the optimizer's state of a rank, or of a node whose ranks share memory: the node then has them once
/// (see NodeArrays), and each of its ranks steps its share.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/base/paged_array.hpp>
#include <lockstep/comm/communicator.hpp>
#include <lockstep/comm/node_arrays.hpp>
#include <lockstep/train/optimizer.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

namespace lockstep {

/// Instantiated for float and double.
template <class Scalar>
class LOCKSTEP_EXPORT NodeParameters {
  public:
    /// Collective. `parameters` are those of the optimizer; both outlive this object, and what they show is what this
    /// rank sees. Throws what NodeArrays::share throws.
    NodeParameters(const Communicator& communicator, PagedMemory& parameters, Optimizer<Scalar>& optimizer);

    /// Whether ranks share them.
    bool shared() const { return node_ != nullptr; }
    /// What this rank steps.
    ParameterRange share() const { return share_; }

    /// What the ranks see becomes the node's: after they have found that they see the same.
    void publish();

    // A step: these three, in this order, by all ranks.

    /// Until all ranks of the node have read the parameters. What others than the optimizer have written since the step
    /// before becomes the node's. Throws CommunicationError, alike on the node's ranks, where they bring different rates
    /// or numbers of steps, or have written different things by `hash`, which is asked for where one has written.
    void end_reading(double learning_rate, const std::function<std::uint64_t()>& hash);
    /// Steps this rank's share, with the gradients of that.
    void step(std::span<const Scalar> gradients, double learning_rate);
    /// Until all ranks of the node have stepped theirs.
    void end_step();

  private:
    Optimizer<Scalar>& optimizer_;
    std::unique_ptr<NodeArrays> node_;  // null if each rank has its own
    typename Optimizer<Scalar>::Arrays arrays_;
    ParameterRange share_;
    bool written_ = false;  // before the step at hand, by others than the optimizer
};

extern template class NodeParameters<float>;
extern template class NodeParameters<double>;

}  // namespace lockstep
